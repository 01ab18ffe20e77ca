"""The hardest clips to look at and to listen to, with what they are and what every model says."""

from collections.abc import Sequence

from pydantic import ValidationError

from zoo.audio.front_end import FrontEnd
from zoo.audio.front_ends import parse_front_end
from zoo.compare.report.collect import Contender
from zoo.compare.report.drawing import swatch
from zoo.compare.report.hardest import Answer, HardClip, hardest_clips
from zoo.compare.report.markup import Html, section, tag
from zoo.compare.report.sounds import MOST_SECONDS, Sound, find_sounds, log_mel_picture, player_source
from zoo.errors import ZooError


def clips_section(contenders: Sequence[Contender], count: int) -> Html:
    """The hardest clips over all models; empty where nobody kept predictions."""
    hard = hardest_clips([one.predictions for one in contenders], count)
    if not hard:
        return Html("")
    front_end = _front_end(contenders)
    sounds = {}
    if front_end is not None:
        runs = [run for one in contenders for run in one.runs]
        sounds = find_sounds([clip.name for clip in hard], runs, front_end)
    cards = [_card(clip, sounds.get(clip.name), front_end, contenders) for clip in hard]
    how = "The clips that most models get wrong, those with the highest loss first. Listen before you blame the "
    how += "models: this is where wrong labels, cut or silent recordings and classes that overlap come to light. A "
    how += "model says what is likeliest by the mean of its runs' probabilities; right counts runs."
    return section("clips", "Hardest clips", how, tag("div", *cards, class_="grid cards"))


def _front_end(contenders: Sequence[Contender]) -> FrontEnd | None:
    """That of the first run that states one."""
    for contender in contenders:
        for run in contender.finished:
            try:
                return parse_front_end((run.summary or {})["front_end"]).build().eval()
            except (KeyError, TypeError, ValidationError, ZooError):
                continue
    return None


def _card(clip: HardClip, sound: Sound | None, front_end: FrontEnd | None, contenders: Sequence[Contender]) -> Html:
    """One clip."""
    truth = ", ".join(clip.truth) or "none of the classes"
    parts = []
    if sound is None or front_end is None:
        parts.append(tag("p", "Its audio was not found where the recipe says.", class_="missing"))
    else:
        parts.append(log_mel_picture(sound, front_end, f"Log-mel spectrogram of {clip.name}, {truth}"))
        if sound.waveform is None:
            parts.append(tag("p", "Stored as log-mels: there is no sound.", class_="missing"))
        else:
            source = player_source(sound.waveform, front_end.config.sample_rate)
            parts.append(tag("audio", controls=True, preload="metadata", src=source, aria_label=f"Play {clip.name}"))
        if sound.is_cut:
            parts.append(tag("p", f"The first {MOST_SECONDS:g} seconds of it.", class_="note"))
    rows = [_answer_row(one, said) for one, said in zip(contenders, clip.answers, strict=True) if said is not None]
    head = tag("tr", *(tag("th", title, scope="col") for title in ("model", "says", "sure", "right")))
    answers = tag("table", tag("thead", head), tag("tbody", *rows), class_="answers")
    title = tag("h3", tag("span", truth, class_="truth"), tag("span", clip.name, class_="file"))
    return tag("article", title, *parts, tag("div", answers, class_="scroll"), class_="card")


def _answer_row(contender: Contender, said: Answer) -> Html:
    """What one model says, how sure it is, and in how many of its runs it is right."""
    mark = "all" if said.num_right == said.num_runs else "none" if said.num_right == 0 else "some"
    told = {"all": "✓ yes", "none": "✗ no", "some": "± in part"}[mark]
    if said.num_runs > 1:
        told = f"{told[0]} {said.num_right} of {said.num_runs}"
    return tag(
        "tr",
        tag(
            "th", tag("span", class_=f"dot {swatch(contender.place)}", aria_hidden="true"), contender.name, scope="row"
        ),
        tag("td", said.label),
        tag("td", f"{said.probability:.0%}"),
        tag("td", told, class_=f"mark {mark}"),
    )
