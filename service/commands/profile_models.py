"""Numbers of models beside the features of customers: made now, or by models that were made before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from bandit.errors import BrokenSnapshot, UnusableEvents
from bandit.profile.spec import ProfileSpec
from service.commands.bundle import in_one_piece
from service.commands.options import draw_to, note, require_folder, require_picture
from service.kept_models import KEPT, NONE, NOTHING, Kept
from service.table_writer import replacing

if TYPE_CHECKING:
    import pandas as pd

    from bandit.profile.customer_models import CustomerModels

Command = TypeVar("Command", bound=Callable[..., Any])
MADE: Final = "made"
FILE = click.Path(path_type=Path, dir_okay=False)

OPTIONS = (
    click.option("--models", default=NONE, show_default=True, metavar="none|made|FILE",
                 help="Add churn_risk, days_to_next_purchase, customer_value, purchase_propensity and conversion_probability: "
                      "by models made now, or by those in FILE, which were made before."),
    click.option("--models-out", type=FILE, default=Path("models.json"), show_default=True,
                 help="With --models made: the file to write."),
    click.option("--calibration", type=FILE, metavar="PNG", help="With --models: draw what chances came true."),
    click.option("--explain", metavar="CUSTOMER", help="With --models: the factors behind one customer's numbers."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelsAsked:
    """What was asked for; the names are those of the options."""

    models: str
    models_out: Path
    calibration: Path | None
    explain: str | None

    def check(self) -> None:
        """Refuse what could not be done, before any work is done for it.

        Raises:
            click.UsageError: for options that do not go together, or a picture that is none.
            UnusableEvents: for a file that is not there.
        """
        if self.models == NONE and (self.calibration or self.explain):
            raise click.UsageError(
                "--calibration and --explain are of models: give --models made, or a file of models."
            )
        require_picture(self.calibration, "--calibration")
        if self.models == MADE:
            require_folder(self.models_out, "--models-out")
        elif self.models != NONE and not Path(self.models).is_file():
            raise UnusableEvents(
                f"{self.models}: no such file of models. --models is none, made, or a file that "
                "`manyarm profile --models made` wrote."
            )


@dataclass(frozen=True, slots=True)
class Modelled:
    """Customers with their numbers.

    Attributes:
        table: the table with the numbers' columns after its own; as it was where there are none.
        document: what is to be said of them, for machines.
        text: the same for people.
        kept: how live contexts get theirs, if this is loaded.
    """

    table: pd.DataFrame
    document: Mapping[str, object]
    text: str
    kept: Kept = NOTHING


models_options = in_one_piece("models", ModelsAsked, OPTIONS)
"""Adds the options to a command, which gets them as `models`."""


def with_models(
    table: pd.DataFrame,
    events: pd.DataFrame,
    at: datetime,
    profile: ProfileSpec,
    asked: ModelsAsked,
    protected: Collection[str] = (),
) -> Modelled:
    """Customers with their numbers, and what is to be said of these.

    Args:
        table: one row a customer, index customer_id.
        events: as bandit.profile.events describes it.
        at: the time of the table; later events are not looked at.
        profile: of the campaign.
        asked: on the command line.
        protected: features that models must not look at.

    Raises:
        UnusableEvents: if there are no events, no customer as asked for, or the models of the file look at what they must not.
        BrokenSnapshot: for a file that holds no models.
    """
    if asked.models == NONE:
        return Modelled(table, {}, "")
    from bandit.profile.customer_value import spending_at  # noqa: PLC0415 - scikit-learn and statsmodels take two seconds
    from bandit.profile.history import History  # noqa: PLC0415
    from service.models_report import explained_document, explained_text, models_document, models_text  # noqa: PLC0415

    history = History(events, profile, profile.models, frozenset(protected)).before(at)
    models = _models(history, at, asked)
    features, spending = models.features_at(history, at), spending_at(history.purchases, history.born, at)
    numbers = models.numbers_of(features, spending)
    _draw(models, asked.calibration)
    document, text = models_document(models), models_text(models)
    if asked.explain:
        document |= {"explained": explained_document(models, features, spending, asked.explain)}
        text += "\n\n" + explained_text(models, features, spending, asked.explain)
    kept = Kept(KEPT, models.text().encode(), models.made_at)
    return Modelled(table.join(numbers), document, text, kept)


def _models(history: Any, at: datetime, asked: ModelsAsked) -> CustomerModels:  # noqa: ANN401 - a History, loaded late
    """Models made now and kept, or those of the file."""
    from bandit.profile.customer_models import fit_customer_models, read_customer_models  # noqa: PLC0415

    if asked.models == MADE:
        note("making models of customers: a minute or so")
        models = fit_customer_models(history, at)
        text = models.text()
        with replacing(asked.models_out) as draft:
            draft.write_text(text, encoding="utf-8")
        return models
    try:
        models = read_customer_models(Path(asked.models).read_text(encoding="utf-8"))
    except (BrokenSnapshot, UnicodeDecodeError) as error:
        raise BrokenSnapshot(f"{asked.models}: {error}") from error
    models.refuse_before(at)
    models.refuse_features(history.left_out)
    return models


def _draw(models: CustomerModels, path: Path | None) -> None:
    if path is None:
        return
    judgements = models.judgements
    if not judgements:
        raise UnusableEvents("--calibration: no model that gives chances could be made, so there is nothing to draw.")
    from service.calibration_picture import draw_calibration  # noqa: PLC0415 - matplotlib takes a second

    draw_to(path, lambda draft: draw_calibration(draft, judgements))
