"""What is wrong with a clip, from what is wrong with its windows."""

from collections import Counter
from collections.abc import Iterable, Mapping

from zoo.data.batch import BadAudio


def judge_clips(bad: Iterable[BadAudio], num_used: Mapping[str, int]) -> tuple[BadAudio, ...]:
    """One entry for every clip that cannot be used, and one for every odd clip.

    A clip is unusable when none of its windows could be used. One that lost some of them is odd. What is odd about some
    windows alone is told as such: a clip with a pause is not silent.

    Args: `num_used` has for every clip's name how many of its windows could be used.
    """
    of_clip: dict[str, list[BadAudio]] = {}
    for one in bad:
        of_clip.setdefault(one.name, []).append(one)
    judged = []
    for name, entries in of_clip.items():
        lost = [one.reason for one in entries if not one.used]
        if name not in num_used:
            reasons = lost[:1]
        else:
            counts = Counter(reason for one in entries if one.used for reason in one.reason.split("; "))
            everywhere = [reason for reason, count in counts.items() if count >= num_used[name]]
            somewhere = [reason for reason, count in counts.items() if count < num_used[name]]
            parts = {"in part": somewhere, "in part unusable": list(dict.fromkeys(lost))}
            reasons = everywhere + [f"{what}: {', '.join(some)}" for what, some in parts.items() if some]
        if reasons:
            judged.append(BadAudio(name, entries[0].path, "; ".join(reasons), used=name in num_used))
    return tuple(judged)
