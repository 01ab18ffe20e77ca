"""Makes the committed set `data/` from a folder of whole goldens: fewer of them, and fewer numbers of large arrays.

    python tests/golden/thin.py FOLDER

Numbers are only left out, never computed, except for `sums` (sum, sum of magnitudes, sum of squares of the whole
array), which then guard what is not stored, and which are computed where the whole array was stored.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from golden import DATA, parse_index

# By golden: which part of an output is kept. What is not named is kept as it is.
_TOKENS = "full[:, [0, 1] + list(range(2, {}, {}))]"
_EXTRACTOR = {
    f"final_{case}": "full[::50]"
    for case in ("noise_1s", "chirp_1s", "silence_1s", "quiet_1s", "noise_0p5s", "tones_11s")
}
CHOSEN: dict[str, dict[str, str]] = {
    "ast_audioset_ft_t512": {"pos_embed": _TOKENS.format(602, 60)},
    "ast_deit_tiny_f8_t120": {"pos_embed": _TOKENS.format(167, 10), "conv_weight": "full[::32]"},
    "ast_deit_tiny_s10_t512": {"pos_embed": _TOKENS.format(602, 40), "conv_weight": "full[::32]"},
    "ast_tiny224_s10_t512_hot": {"tokens": _TOKENS.format(602, 60)},
    "ast_tiny224_s16_t100": {"tokens": _TOKENS.format(50, 6)},
    "frontend_fbank_audioset_1024": {
        **{f"fbank_{case}_1s": "full[::14]" for case in ("noise", "chirp", "silence", "quiet", "zeros")},
        **{f"final_{case}_1s": "full[::64]" for case in ("noise", "chirp", "silence", "quiet", "zeros")},
        **{"fbank_noise_0p5s": "full[::8]", "final_noise_0p5s": "full[::64]"},
        **{"fbank_tones_10s": "full[::120]", "final_tones_10s": "full[::64]"},
    },
    "frontend_fbank_speechcommands_128": {
        **{"fbank_noise_1s": "full[::14]", "fbank_tones_1s": "full[::14]", "fbank_clicks_2s": "full[::24]"},
    },
    "frontend_hf_fe_numpy": _EXTRACTOR,
    "frontend_hf_fe_torchaudio": _EXTRACTOR,
    "frontend_passt_mel": {
        **{f"mel_{case}_1s": "full[:, ::14]" for case in ("noise", "chirp", "silence", "quiet")},
        **{"mel_zeros_0p5s": "full[:, ::25]", "mel_tones_10s": "full[:, ::120]"},
    },
    "frontend_passt_mel_default": {"mel_noise_0p5s": "full[:, ::5]"},
    "frontend_passt_mel_train_bank": {"mel_noise_0p5s": "full[:, ::5]"},
    "hear_wrapper_d192": {"emb_stamp_0p6s": "full[:, ::4]"},
    "hf_ast_d96_s10_t512_hot": {"tokens": _TOKENS.format(602, 60)},
    "passt_d192_patchout_all_short": {},
    "passt_d192_s10_998_hot": {
        f"tokens_{x}": _TOKENS.format(n, 6 * s) for x, n, s in (("x321", 374, 18), ("x998", 1190, 58))
    },
    "passt_d192_s16_998": {
        f"tokens_{x}": _TOKENS.format(n, 6 * s) for x, n, s in (("x700", 346, 17), ("x998", 498, 24))
    },
    "passt_deit_tiny_s10": {"time_new_pos_embed": "full[:, :, :, ::9]", "conv_weight": "full[::32]"},
    "passt_s_arch_ap476": {},
    "ssast_mask_frame_1x512_400": {},
    "ssast_mask_patch_8x64_100": {},
    "ssast_mask_patch_8x64_400": {},
    "ssast_tiny_frame_ft_s1_t700": {"pos_embed": _TOKENS.format(701, 60), "conv_weight": "full[::40]"},
    "ssast_tiny_frame_pretrain_t512": {"tokens_a": _TOKENS.format(258, 25)},
    "ssast_tiny_patch_ft_fdim64_quirk": {"pos_embed": _TOKENS.format(197, 20), "conv_weight": "full[::40]"},
    "ssast_tiny_patch_ft_s10_t512": {"pos_embed": _TOKENS.format(602, 50), "conv_weight": "full[::40]"},
    "ssast_tiny_patch_pretrain_t512_hot": {"tokens_a": _TOKENS.format(258, 25)},
}
for _name in ("frame_pretrain_t512", "patch_pretrain_t512_hot"):
    CHOSEN[f"ssast_tiny_{_name}"] |= {
        f"{task}_pred_{letter}": "full[:, ::{}, ::16]".format(
            {"frame": 40, "patch": 20}[_name[:5]] if letter == "a" else 2
        )
        for task in ("mpc", "mpg")
        for letter in "ab"
    }


def thin(meta: dict[str, Any], arrays: dict[str, np.ndarray], keep: dict[str, str]) -> None:
    """Leaves the parts `keep` of the named outputs, in place."""
    unknown = keep.keys() - {output["name"] for output in meta["outputs"]}
    assert not unknown, f"{meta['name']}: no outputs {sorted(unknown)}"
    for output in meta["outputs"]:
        name = output["name"]
        if name not in keep:
            continue
        stored, shape = arrays[name], tuple(output.get("full_shape", output["shape"]))
        places = np.arange(np.prod(shape)).reshape(shape)
        before = places[parse_index(output["subsample"])] if "subsample" in output else places
        after = places[parse_index(keep[name])]
        missing = np.setdiff1d(after, before)
        assert not missing.size, f"{meta['name']}: {keep[name]} of {name} is not in what is stored"
        if "sums" not in output:
            assert before.size == places.size, f"{meta['name']}: {name} has no sums, and they cannot be computed"
            whole = stored.astype(np.float64)
            output["sums"] = f"{name}__sums"
            arrays[output["sums"]] = np.array([whole.sum(), np.abs(whole).sum(), np.square(whole).sum()])
        order = np.argsort(before, axis=None)
        rank = np.searchsorted(before.ravel(), after.ravel(), sorter=order)
        arrays[name] = stored.ravel()[order[rank]].reshape(after.shape)
        output |= {"full_shape": list(shape), "subsample": keep[name], "shape": list(after.shape)}


def main(folder: Path) -> None:
    for name, keep in CHOSEN.items():
        meta: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
        with np.load(folder / f"{name}.npz", allow_pickle=False) as stored:
            arrays = dict(stored)
        if keep:
            thin(meta, arrays, keep)
            meta["thinned_from"] = f"{name}.npz: {', '.join(sorted(keep))} had more numbers; see tests/golden/thin.py"
        meta = {key: value for key, value in meta.items() if key not in ("runner", "runner_args")}
        (DATA / f"{name}.json").write_text(json.dumps(meta, separators=(",", ":"), ensure_ascii=False) + "\n")
        np.savez_compressed(DATA / f"{name}.npz", **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
