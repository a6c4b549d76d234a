"""Documents are translated in turns with the lines of other requests, so that a long one does not hold them up."""

from collections.abc import Sequence

from tfmr.serving.service import Service
from tfmr.translation import Alignment, Translator
from tfmr.translation.documents.document import document_steps
from tfmr.translation.documents.model_calls import Align, Translate, next_call


async def translate_document(service: Service, translator: Translator, kind: str, text: str, language: str) -> str:
    """Returns what `tfmr.translation.translate_document` does, and raises the same errors.

    Raises:
      RequestError: if too many lines wait already.
    """
    steps = document_steps(translator, kind, text, language=language)
    call = await service.reader.run(next_call, steps)
    while not isinstance(call, str):
        if isinstance(call, Translate):
            results = await _translations(service, translator, call)
        else:
            results = await _alignments(service, translator, call)
        call = await service.reader.run(next_call, steps, results)
    return call


async def _translations(service: Service, translator: Translator, call: Translate) -> Sequence[str]:
    """Returns the translations of sentences, of which only a batch waits at a time: whatever arrives comes next."""
    translations = [""] * len(call.texts)
    for part in _portions(translator, call.texts):
        found = await service.batcher.n_best(translator, [call.texts[index] for index in part])
        for index, hypotheses in zip(part, found, strict=True):
            translations[index] = hypotheses[0].text if hypotheses else ""
    return translations


async def _alignments(service: Service, translator: Translator, call: Align) -> Sequence[Alignment]:
    alignments: dict[int, Alignment] = {}
    for part in _portions(translator, call.sources):
        some = Align([call.sources[index] for index in part], [call.targets[index] for index in part])
        alignments |= zip(part, await service.worker.run(some.result, translator), strict=True)
    return [alignments[index] for index in range(len(call.sources))]


def _portions(translator: Translator, texts: Sequence[str]) -> list[list[int]]:
    """Returns the indices of texts, as many as a batch at a time, those of about the same length together."""
    if translator.config.sampling.temperature > 0:  # samples depend on the position among all
        return [list(range(len(texts)))] if texts else []
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    size = translator.config.batch_size
    return [order[start : start + size] for start in range(0, len(order), size)]
