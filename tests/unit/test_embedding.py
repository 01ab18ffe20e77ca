"""The parts in their order, padding, and a clip that is the same alone and in a batch."""

import pytest
import torch
import torch.nn.functional as F

from zoo.draws import clip_keys
from zoo.errors import ShapeError
from zoo.nn.embedding import Embedding
from zoo.nn.init import init_weights
from zoo.nn.patch import PatchEmbed, PatchGrid
from zoo.nn.patchout import Patchout
from zoo.nn.position import FrequencyTimePosition, LearnedPosition, SinusoidalPosition
from zoo.nn.prefix import PrefixTokens

D, MELS, FRAMES = 16, 32, 60  # a grid of 3 x 6 at size 12, stride 9
GRID = PatchGrid(3, 6)
KEYS = clip_keys(0, 0, torch.arange(4))
NUM_FRAMES = torch.tensor([60, 48, 21, 11])  # 6, 5, 2 and 0 whole columns


def make(position=None, num_prefix=2, patchout=None, dropout=0.0):
    torch.manual_seed(0)
    embedding = Embedding(
        PatchEmbed(D, (12, 12), (9, 9)),
        LearnedPosition(GRID, D) if position is None else position,
        PrefixTokens(num_prefix, D),
        patchout,
        dropout,
    )
    init_weights(embedding)
    return embedding


def log_mel(batch=4, frames=FRAMES):
    return torch.randn(batch, MELS, frames, generator=torch.Generator().manual_seed(1))


def test_patches_plus_positions_behind_the_prefix():
    embedding = make()
    tokens, is_padded = embedding(log_mel())
    assert tokens.shape == (4, 2 + 18, D)
    assert is_padded is None
    conv = F.conv2d(log_mel()[:, None], embedding.patch.proj.weight, embedding.patch.proj.bias, stride=9)
    expected = (conv + embedding.position.table.permute(2, 0, 1)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(tokens[:, 2:], expected, atol=1e-6, rtol=1e-6)
    prefix = torch.cat([embedding.prefix.cls_token, embedding.prefix.dist_token], 1) + embedding.prefix.position
    assert torch.equal(tokens[:, :2], prefix.expand(4, -1, -1))


def test_what_it_tells_about_itself():
    embedding = make(num_prefix=1)
    assert embedding.embed_dim == D
    assert embedding.num_prefix_tokens == 1
    assert embedding.grid_for(FRAMES) == GRID
    assert embedding.grid_for(21) == (3, 2)
    with pytest.raises(ShapeError, match="11 frames"):
        embedding.grid_for(11)


@pytest.mark.parametrize("num_prefix", [0, 1, 2])
def test_partly_covered_patches_are_padding_and_the_prefix_never_is(num_prefix):
    tokens, is_padded = make(num_prefix=num_prefix)(log_mel(), NUM_FRAMES)
    assert is_padded.shape == tokens.shape[:2]
    assert not is_padded[:, :num_prefix].any()
    grid = is_padded[:, num_prefix:].view(4, 3, 6)
    for clip, columns in enumerate([6, 5, 2, 0]):
        assert not grid[clip, :, :columns].any()
        assert grid[clip, :, columns:].all()


@pytest.mark.parametrize(
    "position",
    [
        lambda: LearnedPosition(GRID, D),
        lambda: SinusoidalPosition(GRID, D, "2d"),
        lambda: SinusoidalPosition(GRID, D, "1d"),
        lambda: FrequencyTimePosition(3, 6, D, random_time_offset=True),
    ],
)
def test_a_clip_padded_in_a_wider_batch_is_the_clip_alone(position):
    embedding = make(position()).eval()
    tokens, is_padded = embedding(log_mel(), NUM_FRAMES, KEYS)
    for clip, frames in ((1, 48), (2, 21)):
        alone, none = embedding(log_mel()[clip : clip + 1, :, :frames])
        assert none is None
        torch.testing.assert_close(tokens[clip][~is_padded[clip]], alone[0], atol=1e-6, rtol=1e-6)


def test_in_training_too_when_nothing_depends_on_the_width():
    embedding = make(patchout=Patchout(freq=1, time=1, random=1)).train()
    tokens, is_padded = embedding(log_mel(), NUM_FRAMES, KEYS)
    assert tokens.shape == (4, 2 + 2 * 5 - 1, D)
    for clip, frames in ((0, 60), (1, 48), (2, 21)):
        alone, _ = embedding(log_mel()[clip : clip + 1, :, :frames], None, KEYS[clip : clip + 1])
        torch.testing.assert_close(tokens[clip][~is_padded[clip]], alone[0], atol=1e-6, rtol=1e-6)


def test_patchout_comes_after_positions_and_before_the_prefix():
    embedding = make(patchout=Patchout(time=2)).train()
    whole = make().train()
    tokens, _ = embedding(log_mel(), None, KEYS)
    _, _, index = embedding.patchout(torch.zeros(4, 18, 1), GRID, None, KEYS)
    all_tokens, _ = whole(log_mel(), None, KEYS)
    assert torch.equal(tokens[:, :2], all_tokens[:, :2])
    assert torch.equal(tokens[:, 2:], all_tokens[:, 2:].gather(1, index[:, :, None].expand(-1, -1, D)))


def test_two_steps_are_the_whole():
    embedding = make(FrequencyTimePosition(3, 9, D, random_time_offset=True), patchout=Patchout(random=3)).train()
    patches, grid = embedding.patches(log_mel())
    step_by_step = embedding.assemble(patches, grid, embedding.padding(NUM_FRAMES, grid), KEYS)
    for mine, whole in zip(step_by_step, embedding(log_mel(), NUM_FRAMES, KEYS), strict=True):
        assert torch.equal(mine, whole)


def test_training_draws_follow_the_keys_or_torchs_generator():
    embedding = make(FrequencyTimePosition(3, 9, D, random_time_offset=True), patchout=Patchout(random=9)).train()
    assert torch.equal(embedding(log_mel(), None, KEYS)[0], embedding(log_mel(), None, KEYS)[0])
    torch.manual_seed(4)
    first = embedding(log_mel())[0]
    assert not torch.equal(embedding(log_mel())[0], first)
    torch.manual_seed(4)
    assert torch.equal(embedding(log_mel())[0], first)


def test_evaluation_draws_nothing():
    embedding = make(FrequencyTimePosition(3, 9, D, True), patchout=Patchout(random=9), dropout=0.5).eval()
    state = torch.get_rng_state()
    tokens, _ = embedding(log_mel())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(tokens, embedding(log_mel(), None, KEYS)[0])
    assert tokens.shape == (4, 20, D)


def test_dropout_covers_all_tokens_in_training():
    tokens, _ = make(dropout=0.5).train()(log_mel(), None, KEYS)
    share = (tokens == 0).float().mean(dim=(0, 2))
    assert (share[:2] > 0).all()
    # 4 x 20 x 16 coins: five standard deviations.
    assert share.mean() == pytest.approx(0.5, abs=0.07)


def test_wider_input_and_other_mels_are_errors():
    with pytest.raises(ShapeError, match="7 patch columns - expected at most the 6"):
        make()(log_mel(frames=66))
    with pytest.raises(ShapeError, match="2 patch rows - expected the 3"):
        make()(log_mel()[:, :24])


def test_every_parameter_gets_a_gradient():
    embedding = make(FrequencyTimePosition(3, 6, D))
    embedding(log_mel())[0].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in embedding.parameters())


def test_bfloat16_autocast():
    embedding = make(patchout=Patchout(time=1)).train()
    with torch.autocast("cpu", torch.bfloat16):
        tokens, is_padded = embedding(log_mel(), NUM_FRAMES, KEYS)
    expected, _ = embedding(log_mel(), NUM_FRAMES, KEYS)
    # bfloat16 keeps 8 bits of sums of 144 products that are about 1 in all.
    torch.testing.assert_close(tokens.float(), expected, atol=0.02, rtol=0.02)
    assert is_padded.dtype == torch.bool


@pytest.mark.gpu
def test_nothing_waits_for_the_device():
    embedding = make(FrequencyTimePosition(3, 9, D, True), patchout=Patchout(1, 1, 1), dropout=0.1).cuda().train()
    inputs = log_mel().cuda(), NUM_FRAMES.cuda(), KEYS.cuda()
    embedding(*inputs)
    torch.cuda.set_sync_debug_mode("error")
    try:
        embedding(*inputs)
    finally:
        torch.cuda.set_sync_debug_mode("default")
