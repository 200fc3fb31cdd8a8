"""What an operator writes in YAML, as a model. What is wrong with it is one line that names the file and the place."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from backoffice_shared.errors import InvalidInput

Model = TypeVar("Model", bound=BaseModel)


def read_yaml(file: Path, model: type[Model]) -> Model:
    """What `file` says.

    Raises:
        InvalidInput: it cannot be read, is not YAML, or says something that has no meaning. One line says what.
    """
    try:
        content: Any = yaml.load(file.read_text(encoding="utf-8"), _Unambiguous)  # noqa: S506 - a SafeLoader, made stricter
    except OSError as error:
        raise InvalidInput("", f"{file}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date like 2026-13-01 is a ValueError
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise InvalidInput("", f"{file}{where}: {getattr(error, 'problem', None) or 'is not YAML'}") from None
    try:
        return model.model_validate(content)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the file"
        raise InvalidInput("", f"{file}: {where}: {fault['msg']}") from None


class _Unambiguous(yaml.SafeLoader):
    """Refuses a key that is given twice: of two policies for one thing, nobody can say which is meant."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        counted = Counter(str(key.value) for key, _ in node.value)
        if twice := [name for name, count in counted.items() if count > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)
