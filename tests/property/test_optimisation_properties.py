"""Rules of groups, schedules and averages for any settings."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import zoo
from zoo.train.averaging import EpochsConfig, SwaConfig
from zoo.train.length import Length
from zoo.train.optim import AdamConfig, AdamWConfig
from zoo.train.schedule import AnyScheduleConfig, ConstantConfig, CosineConfig, PasstConfig, StepConfig

DEPTH = 4
shares = st.floats(0, 1)
optims = st.sampled_from([AdamWConfig, AdamConfig]).flatmap(
    lambda kind: st.builds(
        kind,
        lr=st.floats(1e-9, 1),
        weight_decay=st.floats(1e-9, 1),
        decay=st.sampled_from(["matrices", "all"]),
        layer_decay=st.floats(0.01, 1) | st.just(1.0),
        head_lr_factor=st.floats(0.01, 100) | st.just(1.0),
        freeze=st.sampled_from(["none", "backbone"]) | st.integers(1, DEPTH),
    )
)
models = st.sampled_from(
    [("ast-tiny", False), ("passt-tiny", False), ("ssast-patch-tiny", True), ("ast-sinusoidal", False)]
)
schedules = st.one_of(
    st.builds(CosineConfig, warmup_clips=st.floats(0, 0.99), final_share=shares),
    st.builds(ConstantConfig, warmup_clips=st.floats(0, 0.99)),
    st.builds(
        StepConfig,
        gamma=st.floats(0.01, 1),
        start_epoch=st.integers(1, 20),
        every_epochs=st.integers(1, 9),
        warmup_steps=st.sampled_from([0, 10, 40]),
        warmup_stair=st.sampled_from([1, 2, 5, None]),
    ),
    st.builds(
        PasstConfig,
        warmup_epochs=st.integers(0, 5),
        ramp_down_start=st.integers(0, 20),
        ramp_down_epochs=st.integers(0, 20),
        final_share=shares,
    ),
)
lengths = st.builds(
    lambda batch, in_epoch, epochs: Length(batch * in_epoch * epochs, batch, batch * in_epoch),
    st.integers(1, 7),
    st.integers(8, 20),
    st.integers(5, 30),
)


@settings(max_examples=60, deadline=None)
@given(models, optims)
def test_groups_hold_every_trained_parameter_once_and_one_rate_each(
    model: tuple[str, bool], config: AdamWConfig | AdamConfig
) -> None:
    name, pretraining = model
    built = zoo.build(name, pretraining=pretraining, embed_dim=12, depth=DEPTH, num_heads=3)
    groups = config.groups(built)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    trained = {id(parameter) for parameter in built.parameters() if parameter.requires_grad}
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == trained
    assert len({group["name"] for group in groups}) == len(groups)
    for group in groups:
        assert group["lr"] == config.lr * group["lr_factor"]
        assert group["weight_decay"] in (0.0, config.weight_decay)
        assert config.decay == "matrices" or group["weight_decay"] == config.weight_decay
    body = [group["lr_factor"] for group in groups if not group["name"].startswith("head")]
    assert body == sorted(body)  # the higher the layer, the higher the rate


@settings(max_examples=80, deadline=None)
@given(schedules, lengths)
def test_a_schedule_rises_then_falls_between_0_and_1(config: AnyScheduleConfig, length: Length) -> None:
    factor, again = config.build(length), config.build(length)
    starts = range(0, length.total_clips, length.clips_per_step)
    rates = [factor(clips) for clips in starts]
    assert all(0 <= rate <= 1 for rate in rates)
    assert rates[::-1] == [again(clips) for clips in reversed(starts)]  # nothing is remembered
    if isinstance(config, StepConfig):
        warmup = config.warmup_steps
        assert all(later <= earlier for earlier, later in zip(rates[warmup:], rates[warmup + 1 :], strict=False))
    else:
        top = rates.index(max(rates))
        assert rates[:top] == sorted(rates[:top])
        assert rates[top:] == sorted(rates[top:], reverse=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), st.data())
def test_means_over_epochs_are_plain_means(epochs: int, in_epoch: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, epochs))
    last = data.draw(st.integers(first, epochs))
    start, every = data.draw(st.integers(1, epochs)), data.draw(st.integers(1, 5))
    model = nn.Linear(3, 2)
    weights = [model.weight.detach().double()]  # at the beginning, and at the end of every epoch
    averagers = [EpochsConfig(first=first, last=last).build(model), SwaConfig(start=start, every=every).build(model)]
    for step in range(1, epochs * in_epoch + 1):
        with torch.no_grad():
            model.weight += torch.randn(2, 3)
        for averager in averagers:
            averager.after_step(step, (step - 1) // in_epoch, step % in_epoch == 0)
        if step % in_epoch == 0:
            weights.append(model.weight.detach().double())
    for averager, taken in zip(
        averagers, (weights[first : last + 1], weights[start - 1 : epochs : every]), strict=True
    ):
        with averager.applied():
            torch.testing.assert_close(model.weight.double(), torch.stack(taken).mean(0), rtol=0, atol=1e-6)
