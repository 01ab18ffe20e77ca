"""The charts of TensorBoard's Custom Scalars: what belongs together in one, for runs of every kind."""

from zoo.train.logbook import Charts

CHARTS: Charts = {
    "Losses": {
        "training": ["loss/.*"],
        "held-out clips": ["(eval|test)/loss.*"],
        "reconstruction, and guessing the mean patch": [
            "loss/reconstruct",
            "(eval|test)/(loss_reconstruct|mean_patch_loss)",
        ],
    },
    "Metrics": {
        "accuracy": ["(train|eval|test)/(balanced_)?accuracy$"],
        "mean average precision and AUC": ["(eval|test)/(mAP|auc)$"],
        "F1": ["(eval|test)/f1"],
        "precision and recall": ["(eval|test)/(precision|recall)"],
        "d'": ["(eval|test)/dprime"],
        "masked patches found, and guessing": ["pretext/.*", "(eval|test)/pretext_.*"],
        "probes of the features, and guessing": ["eval/probe_.*"],
        "at the end": ["final/.*"],
    },
    "Speed": {
        "clips per second": ["perf/clips_per_second"],
        "teraflop per second": ["perf/tflops"],
        "share of the device's rate": ["perf/utilisation"],
        "seconds spent waiting for data": ["data/seconds_waiting"],
        "GPU memory (GiB)": ["perf/gpu_memory_gib"],
    },
    "Health": {
        "step in shares of the weights": ["health/update_ratio"],
        "norm of the weights": ["health/weight_norm"],
        "steps left out": ["health/skipped_steps"],
        "features: deviation over the clips": ["health/embedding_std"],
        "features: effective rank": ["health/effective_rank"],
        "features: share of dead dimensions": ["health/dead_dimensions"],
        "attention: entropy, 1 is everywhere alike": ["health/attention_entropy"],
        "clips that could not be used": ["data/bad_clips"],
    },
    "Learning rate and gradients": {
        "learning rate": ["optim/lr$"],
        "learning rate of each part": ["optim/lr/.*"],
        "norm of the gradient": ["optim/grad_norm$"],
        "norm of the gradient of each part": ["optim/grad_norm/.*"],
        "scale of the loss in fp16": ["optim/loss_scale"],
    },
}
"""The same for all runs, so that those shown together share their charts: of a chart whose tags a run lacks, it has no
line."""
