"""The error tree of Assay.

AssayError                      anything Assay raises on purpose; says what happened and what to do
├── SettingsError               a setting is missing or out of range
├── DataError                   a file, a column or a template cannot be used as given
│   ├── ImportRefused           the file as a whole is refused (too large, a bomb, not a table)
│   ├── TemplateError           a template names a variable that the row does not have
│   ├── BeingWritten            another import of the same rows is under way (store/datasets.py)
│   ├── PolicyError             a data policy forbids what is asked
│   ├── GraderError             a grader cannot be built from its specification
│   └── SuiteError              a suite file cannot be read or says something that cannot be meant
├── NotFound                    a run, dataset or comparison with that id does not exist
├── StoreError                  the database cannot be opened, is too old, is full or locked
├── RunError                    a run cannot be planned or put into the asked state
│   ├── BudgetExceeded          the next call could pass the budget
│   └── LeaseLost               another process has taken the run over
└── GatewayError                a call to the gateway failed; carries a `Failure` (openrouter/failures.py)
"""

from __future__ import annotations


class AssayError(Exception):
    """An error with words for the user: what happened, and the cure.

    message: what happened, with the offending value.
    cure: what to do next; may be empty when nothing can be done.
    """

    def __init__(self, message: str, *, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.message} {self.cure}".strip()


class SettingsError(AssayError):
    """A setting is missing or out of range."""


class DataError(AssayError):
    """A file, a column or a template cannot be used as given."""


class ImportRefused(DataError):
    """The file as a whole is refused."""


class TemplateError(DataError):
    """A template names variables that are not defined.

    variables: the undefined names, in order of appearance.
    """

    def __init__(self, message: str, *, variables: tuple[str, ...] = (), cure: str = "") -> None:
        super().__init__(message, cure=cure)
        self.variables = variables


class PolicyError(DataError):
    """A data policy forbids what is asked."""


class GraderError(DataError):
    """A grader cannot be built from its specification."""


class SuiteError(DataError):
    """A suite file cannot be read or says something that cannot be meant."""


class NotFound(AssayError):
    """Nothing is stored under that id."""


class StoreError(AssayError):
    """The database cannot be used."""


class RunError(AssayError):
    """A run cannot be planned or put into the asked state."""


class BudgetExceeded(RunError):
    """The next call could pass the budget."""


class LeaseLost(RunError):
    """Another process has taken the run over: whoever hears this sends and writes nothing more of it."""


class GatewayError(AssayError):
    """A call to the gateway failed."""
