"""Tags: the tokens that a model reads and writes around a text, such as those of its languages, and the order."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfmr.data.special_tokens import EOS_ID
from tfmr.errors import InputError, nearest

_CODE = re.compile(r"[a-z]{2,3}_[A-Z]\w{1,3}")
"""The codes of NLLB's and mBART's languages, which are also their tokens: eng_Latn, en_XX."""
Tag = int | str
"""A token id; or "source" or "target", the token of that language."""


@dataclass(frozen=True)
class Tags:
    """The tokens around the texts of a translation model. By default only EOS, after each.

    The tags before a target are given to the model, not predicted.
    """

    source_before: tuple[Tag, ...] = ()
    source_after: tuple[Tag, ...] = (EOS_ID,)
    target_before: tuple[Tag, ...] = ()
    languages: Mapping[str, int] = field(default_factory=dict)
    """The token of each language by its code."""
    source: str = ""
    """The code of the language of sources. Empty: not chosen yet."""
    target: str = ""
    """The code of the language of targets."""
    control: tuple[int, ...] = ()
    """Tokens that are not text: texts never contain them, and decoding leaves them out."""
    in_text: bool = False
    """Whether the token of a language is text, so that a source may name the language of its target itself. Such a
    source gets no token before it, and neither does any other while no language is chosen."""
    right_to_left: bool = False
    """The model writes the last token of a target first."""

    def with_languages(self, source: str = "", target: str = "") -> "Tags":
        """Returns the tags for other languages; empty codes change nothing.

        Raises:
          InputError: if the model does not have such a language, or cannot be told which one to write.
        """
        for name, code in (("source_lang", source), ("target_lang", target)):
            if code and not self.languages:
                raise InputError(f"{name} = {code!r}: this model has no languages to choose from; leave it out")
            if code and code not in self.languages:
                raise InputError(f"{name} = {code!r}: is not a language of this model{self._known(code)}")
        if target not in ("", self.target) and "target" not in (*self.source_before, *self.target_before):
            raise InputError(f"target_lang = {target!r}: this model writes {self.target} only")
        return dataclasses.replace(self, source=source or self.source, target=target or self.target)

    def with_new_languages(self, codes: Sequence[str], first: int) -> "Tags":
        """Returns the tags of a model with more languages, whose codes are their tokens, with ids from `first` on.

        Raises:
          InputError: if something else is to be added.
        """
        for code in codes:
            if not _CODE.fullmatch(code):
                raise InputError(
                    f"new_tokens: {code!r} cannot be added to the tokenizer of a multilingual model; only the name "
                    "of a language, such as eng_Latn, can"
                )
        new = {code: number for number, code in enumerate(codes, start=first)}
        control = (*self.control, *new.values())
        return dataclasses.replace(self, languages={**self.languages, **new}, control=control)

    def check(self) -> None:
        """Raises InputError if a language is needed and not chosen."""
        _ = self.source_ids, self.target_ids

    @property
    def source_ids(self) -> tuple[list[int], list[int]]:
        """The tokens before and after a source; raises InputError as `check` does."""
        before = () if self.in_text and not self.target else self.source_before
        return self._ids(before), self._ids(self.source_after)

    def around_source(self, ids: Sequence[int]) -> list[int]:
        """Returns the ids of a source with the tokens before and after it; raises InputError as `check` does."""
        before, after = self.source_ids
        if self.in_text and not set(self.languages.values()).isdisjoint(ids[: len(before)]):
            before = []
        return [*before, *ids, *after]

    @property
    def target_ids(self) -> list[int]:
        """The tokens before a target; raises InputError as `check` does."""
        return self._ids(self.target_before)

    def _ids(self, tags: tuple[Tag, ...]) -> list[int]:
        return [tag if isinstance(tag, int) else self._language(tag) for tag in tags]

    def _language(self, side: str) -> int:
        code = self.source if side == "source" else self.target
        if not code:
            raise InputError(f"{side}_lang: missing; this model needs the language of its {side}s{self._known('')}")
        return self.languages[code]

    def _known(self, code: str) -> str:
        """Returns the codes that a user may have meant, for a message."""
        codes = sorted(self.languages)
        some = ", ".join(codes[:3]) + (f", ... ({len(codes)} in all)" if len(codes) > 3 else "")
        return nearest(code, codes) or f"; the languages are {some}"

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON object that `from_json` reads."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Any, name: str) -> "Tags":
        """Returns the tags of a JSON object; raises InputError, which contains `name`, if it is damaged."""
        try:
            fields: dict[str, Any] = {**values}
            for name_of_tuple in ("source_before", "source_after", "target_before", "control"):
                if name_of_tuple in fields:
                    fields[name_of_tuple] = tuple(fields[name_of_tuple])
            tags = cls(**fields)
            tags.with_languages(tags.source, tags.target)
            return tags
        except (TypeError, AttributeError, InputError) as error:
            raise InputError(f"{name}: its tags are damaged ({error}); import the model again") from None
