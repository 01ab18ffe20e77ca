"""The encoder against a slow obvious one, against torch's own, and what padding may not do."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from zoo.errors import ShapeError
from zoo.nn.encoder import Block, DropPath, Encoder

D, HEADS, LENGTH = 32, 4, 9
IS_PADDED = torch.zeros(3, LENGTH, dtype=torch.bool)
IS_PADDED[1, 6:] = True
IS_PADDED[2, 1:] = True


def make(norm="pre", dtype=torch.float64, **options):
    torch.manual_seed(1)
    encoder = Encoder(D, 2, HEADS, norm=norm, **options)
    for name, parameter in encoder.named_parameters():
        scale, centre = (0.1, 1.0) if name.endswith("weight") and parameter.ndim == 1 else (0.2, 0.0)
        nn.init.normal_(parameter, mean=centre, std=scale)
    return encoder.to(dtype)


def tokens(dtype=torch.float64, batch=3, length=LENGTH):
    return torch.randn(batch, length, D, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)


def slow_norm(x, norm):
    centred = x - x.mean()
    return centred / ((centred**2).mean() + norm.eps).sqrt() * norm.weight + norm.bias


def slow_attention(x, attn, is_padded):
    """x (L, D), token by token and head by head."""
    qkv = x @ attn.qkv.weight.T
    if attn.qkv.bias is not None:
        qkv = qkv + attn.qkv.bias
    width = D // HEADS
    out = torch.zeros_like(x)
    for i in range(len(x)):
        for h in range(HEADS):
            part = slice(h * width, (h + 1) * width)
            weights = []
            for j in range(len(x)):
                score = (qkv[i, :D][part] * qkv[j, D : 2 * D][part]).sum() / width**0.5
                weights.append(torch.zeros(()) if is_padded[j] else score.exp())
            total = sum(weights)
            out[i, part] = sum(w / total * qkv[j, 2 * D :][part] for j, w in enumerate(weights))
    return out @ attn.proj.weight.T + attn.proj.bias


def slow_mlp(x, mlp):
    hidden = x @ mlp.fc1.weight.T + mlp.fc1.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    return hidden @ mlp.fc2.weight.T + mlp.fc2.bias


def slow_encoder(encoder, x, is_padded):
    clips = []
    for clip, padded in zip(x, is_padded, strict=True):
        for block in encoder.blocks:
            if encoder.norm is not None:
                normed = torch.stack([slow_norm(row, block.norm1) for row in clip])
                clip = clip + slow_attention(normed, block.attn, padded)
                clip = clip + slow_mlp(torch.stack([slow_norm(row, block.norm2) for row in clip]), block.mlp)
            else:
                clip = clip + slow_attention(clip, block.attn, padded)
                clip = torch.stack([slow_norm(row, block.norm1) for row in clip])
                clip = clip + slow_mlp(clip, block.mlp)
                clip = torch.stack([slow_norm(row, block.norm2) for row in clip])
        clips.append(clip if encoder.norm is None else torch.stack([slow_norm(row, encoder.norm) for row in clip]))
    return torch.stack(clips)


def torch_encoder(encoder):
    """nn.TransformerEncoder with the same weights."""
    is_pre_norm = encoder.norm is not None
    layer = nn.TransformerEncoderLayer(
        D,
        HEADS,
        dim_feedforward=encoder.blocks[0].mlp.fc1.out_features,
        dropout=0.0,
        activation="gelu",
        layer_norm_eps=1e-6,
        batch_first=True,
        norm_first=is_pre_norm,
    )
    norm = nn.LayerNorm(D, eps=1e-6) if is_pre_norm else None
    theirs = nn.TransformerEncoder(layer, len(encoder.blocks), norm=norm, enable_nested_tensor=False)
    names = {"attn.qkv.": "self_attn.in_proj_", "attn.proj": "self_attn.out_proj"}
    names |= {"mlp.fc1": "linear1", "mlp.fc2": "linear2", "blocks": "layers"}
    state = {}
    for key, value in encoder.state_dict().items():
        for ours, other in names.items():
            key = key.replace(ours, other)
        state[key] = value
    theirs.load_state_dict(state)
    return theirs.to(next(encoder.parameters()).dtype)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_equals_a_slow_obvious_one(norm):
    encoder = make(norm)
    with torch.no_grad():
        expected = slow_encoder(encoder, tokens(), IS_PADDED)
        torch.testing.assert_close(encoder(tokens(), IS_PADDED), expected, atol=1e-11, rtol=1e-11)
        unpadded = slow_encoder(encoder, tokens(), torch.zeros_like(IS_PADDED))
        torch.testing.assert_close(encoder(tokens()), unpadded, atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-11), (torch.float32, 1e-6)])
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("training", [False, True])
def test_equals_the_encoder_of_torch(norm, training, dtype, atol):
    encoder = make(norm, dtype).train(training)
    theirs = torch_encoder(encoder).train(training)
    x = tokens(dtype)
    torch.testing.assert_close(encoder(x), theirs(x), atol=atol, rtol=atol)
    mine, other = encoder(x, IS_PADDED), theirs(x, src_key_padding_mask=IS_PADDED)
    torch.testing.assert_close(mine[~IS_PADDED], other[~IS_PADDED], atol=atol, rtol=atol)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_gradients_equal_those_of_torch(norm):
    encoder = make(norm)
    theirs = torch_encoder(encoder)
    x, y = tokens().requires_grad_(), tokens().requires_grad_()
    weight = torch.randn(3, LENGTH, D, dtype=torch.float64).masked_fill(IS_PADDED[:, :, None], 0)
    (encoder(x, IS_PADDED) * weight).sum().backward()
    (theirs(y, src_key_padding_mask=IS_PADDED) * weight).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(
        encoder.blocks[0].attn.qkv.weight.grad, theirs.layers[0].self_attn.in_proj_weight.grad, atol=1e-10, rtol=1e-10
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_padding_has_exactly_no_influence(norm, dtype):
    encoder = make(norm, dtype)
    x = tokens(dtype)
    other = torch.where(IS_PADDED[:, :, None], 1e4 * torch.randn_like(x), x)
    assert torch.equal(encoder(x, IS_PADDED)[~IS_PADDED], encoder(other, IS_PADDED)[~IS_PADDED])


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_no_gradient_flows_from_padding(norm):
    encoder = make(norm)
    x = tokens().requires_grad_()
    encoder(x, IS_PADDED)[~IS_PADDED].square().sum().backward()
    assert torch.equal(x.grad[IS_PADDED], torch.zeros_like(x.grad[IS_PADDED]))
    assert x.grad[~IS_PADDED].abs().min() > 0


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_padded_clip_is_the_clip_alone(norm):
    encoder = make(norm)
    together = encoder(tokens(), IS_PADDED)
    torch.testing.assert_close(together[1, :6], encoder(tokens()[1:2, :6])[0], atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(together[2, :1], encoder(tokens()[2:3, :1])[0], atol=1e-12, rtol=1e-12)


def test_a_clip_that_is_all_padding_gives_numbers_and_disturbs_no_other():
    encoder = make()
    is_padded = IS_PADDED.clone()
    is_padded[2] = True
    x = tokens().requires_grad_()
    out = encoder(x, is_padded)
    torch.testing.assert_close(out[2], encoder(x)[2], atol=1e-12, rtol=1e-12)  # it looks at itself
    torch.testing.assert_close(out[:2], encoder(x, IS_PADDED)[:2], atol=1e-12, rtol=1e-12)
    out[:2].sum().backward()
    assert x.grad.isfinite().all()
    assert not x.grad[2].any()


def test_rows_of_a_batch_are_independent():
    encoder = make()
    x = tokens()
    changed = x.clone()
    changed[1] += 1
    before, after = encoder(x), encoder(changed)
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.equal(before[1], after[1])


def test_eps_of_the_released_models_and_the_last_norm():
    encoder = Encoder(D, 2, HEADS)
    assert {m.eps for m in encoder.modules() if isinstance(m, nn.LayerNorm)} == {1e-6}
    assert len([m for m in encoder.modules() if isinstance(m, nn.LayerNorm)]) == 5
    assert Encoder(D, 2, HEADS, norm="post").norm is None
    assert {m.eps for m in Encoder(D, 1, HEADS, eps=1e-12).modules() if isinstance(m, nn.LayerNorm)} == {1e-12}


def test_names_are_those_of_the_released_weights():
    names = set(Encoder(D, 1, HEADS).state_dict())
    parts = ["norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"]
    assert names == {f"blocks.0.{p}.{w}" for p in parts for w in ("weight", "bias")} | {"norm.weight", "norm.bias"}
    assert "blocks.0.attn.qkv.bias" not in Encoder(D, 1, HEADS, qkv_bias=False).state_dict()


def test_parameters_of_the_published_sizes():
    # 12 blocks and the last norm of AST base, from the released state dict's shapes.
    with torch.device("meta"):
        count = sum(p.numel() for p in Encoder(768, 12, 12).parameters())
    block = 2 * 2 * 768 + (2304 * 768 + 2304) + (768 * 768 + 768) + (3072 * 768 + 3072) + (768 * 3072 + 768)
    assert count == 12 * block + 2 * 768


def test_heads_have_to_divide_the_width():
    with pytest.raises(ShapeError, match="embed_dim 32 - expected a multiple of num_heads 5"):
        Encoder(32, 1, 5)


def test_no_blocks_at_all():
    assert Encoder(D, 0, HEADS, norm="post")(tokens(torch.float32)).shape == (3, LENGTH, D)


class TestDropPath:
    def test_rates_rise_linearly(self):
        rates = [block.drop_path.rate for block in Encoder(D, 4, HEADS, drop_path=0.3).blocks]
        assert rates == pytest.approx([0, 0.1, 0.2, 0.3])
        assert [block.drop_path.rate for block in Encoder(D, 1, HEADS, drop_path=0.3).blocks] == [0]

    def test_whole_branches_go_and_the_mean_stays(self):
        kept = DropPath(0.25).train()(torch.ones(4000, 2, 3))
        values = kept.flatten(1)
        assert (values == values[:, :1]).all()
        assert sorted(set(values[:, 0].tolist())) == pytest.approx([0.0, 4 / 3])
        # Bernoulli(0.75) over 4000 clips: sd 0.0068; five of them.
        assert abs((values[:, 0] > 0).float().mean() - 0.75) < 0.035

    def test_nothing_in_evaluation(self):
        branch = torch.ones(5, 2, 3)
        assert DropPath(0.9).eval()(branch) is branch
        assert DropPath(0.0).train()(branch) is branch

    def test_all_of_it(self):
        assert not DropPath(1.0).train()(torch.ones(5, 2, 3)).any()

    def test_a_block_without_branches_is_the_identity(self):
        block = Block(D, HEADS, drop_path=1.0).train()
        x = tokens(torch.float32)
        assert torch.equal(block(x), x)


def test_dropout_acts_in_training_alone():
    encoder = make(dtype=torch.float32, dropout=0.5)
    x = tokens(torch.float32)
    assert not torch.equal(encoder.train()(x), encoder(x))
    assert torch.equal(encoder.eval()(x), encoder(x))
    assert torch.equal(encoder(x), make(dtype=torch.float32).eval()(x))


def test_same_generator_same_dropout():
    encoder = make(dtype=torch.float32, dropout=0.5, drop_path=0.5).train()
    outs = []
    for _ in range(2):
        torch.manual_seed(5)
        outs.append(encoder(tokens(torch.float32), IS_PADDED))
    assert torch.equal(*outs)


def test_bfloat16_autocast_is_close_and_trains():
    encoder = make(dtype=torch.float32)
    x = tokens(torch.float32).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        out = encoder(x, IS_PADDED)
    assert out.isfinite().all()
    # bfloat16 keeps 8 bits: 2^-8 of values up to about 4, through two blocks.
    torch.testing.assert_close(out.float(), encoder(x, IS_PADDED), atol=0.1, rtol=0.02)
    out.float().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())


COMPILED = """
import torch
from zoo.nn.encoder import Encoder
encoder = Encoder(32, 2, 4, drop_path=0.1)  # backend "eager": whether it is one graph, not what is made of it
x, is_padded = torch.randn(3, 9, 32), torch.zeros(3, 9, dtype=torch.bool)
is_padded[1, 6:] = True
compiled = torch.compile(encoder.eval(), fullgraph=True, backend="eager")
torch.testing.assert_close(compiled(x, is_padded), encoder(x, is_padded), atol=1e-6, rtol=1e-6)
torch.compile(encoder.train(), fullgraph=True, backend="eager")(x, is_padded).sum().backward()
"""


def test_compiles_into_one_graph():
    # In its own process: here every function is wrapped by the shape checks, which users do not have.
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
