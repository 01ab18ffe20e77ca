"""How the numbers of every kind of golden are computed with the zoo."""

from kinds.ast import AST_EVAL, AST_FROM_AUDIOSET, AST_FROM_DEIT
from kinds.front_ends import AST_FBANK, HF_FEATURE_EXTRACTOR, PASST_MEL
from kinds.hear import HEAR_WRAPPER
from kinds.hugging_face import HF_AST_EVAL
from kinds.kind import Kind
from kinds.masks import SSAST_MASK_STATS
from kinds.passt import PASST_ARCH, PASST_EVAL, PASST_FROM_DEIT, PASST_TRAIN_PATCHOUT
from kinds.ssast import SSAST_FINETUNE, SSAST_PRETRAIN

KINDS: dict[str, Kind] = {
    "ast_eval": AST_EVAL,
    "ast_fbank": AST_FBANK,
    "ast_from_audioset": AST_FROM_AUDIOSET,
    "ast_from_deit": AST_FROM_DEIT,
    "hear_wrapper": HEAR_WRAPPER,
    "hf_ast_eval": HF_AST_EVAL,
    "hf_feature_extractor": HF_FEATURE_EXTRACTOR,
    "passt_arch": PASST_ARCH,
    "passt_eval": PASST_EVAL,
    "passt_from_deit": PASST_FROM_DEIT,
    "passt_mel": PASST_MEL,
    "passt_train_patchout": PASST_TRAIN_PATCHOUT,
    "ssast_finetune": SSAST_FINETUNE,
    "ssast_mask_stats": SSAST_MASK_STATS,
    "ssast_pretrain": SSAST_PRETRAIN,
}
