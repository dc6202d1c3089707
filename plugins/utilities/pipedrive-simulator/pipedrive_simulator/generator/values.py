"""Values for custom fields, in their v2 shapes, one function per field type."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from pipedrive_simulator.account.fields import ADDRESS_PARTS, FieldDefinition
from pipedrive_simulator.clock import SECONDS_PER_DAY, day_text
from pipedrive_simulator.generator import names

if TYPE_CHECKING:
    from pipedrive_simulator.account.account import Account

_SENTENCES = (
    "Cliente pediu prazo maior de pagamento.",
    "Aguardando aprovação da diretoria; retomar na próxima semana.",
    "Comparou com o sistema atual e gostou dos relatórios.",
    "Precisa de integração com o ERP antes do fim do mês.",
    "Desconto condicionado à assinatura anual.",
)
_COMPETITORS = ("TotalSis", "GestãoJá", "Planilha própria", "NexoERP", "SysVarejo")
_SHORT_TEXTS = ("padrão", "urgente", "renovação", "piloto", "expansão", "retorno", "teste")
_TIMEZONE = {"timezone_id": 125, "timezone_name": "America/Sao_Paulo"}


class ValueMaker:
    """Makes values for the custom fields of one account."""

    def __init__(self, account: Account, rng: Random) -> None:
        self.account = account
        self.rng = rng
        self._users = list(account.users.records)
        self._makers: dict[str, Callable[[FieldDefinition, int, str], Any]] = {
            "varchar": lambda f, day, cur: (
                f"{rng.choice(_SHORT_TEXTS)}-{rng.randrange(1000, 9999)}"
            ),
            "varchar_auto": lambda f, day, cur: rng.choice(_COMPETITORS),
            "text": lambda f, day, cur: rng.choice(_SENTENCES),
            "double": lambda f, day, cur: float(rng.choice((1, 2, 3, 5, 8, 10, 12.5, 15, 20, 50))),
            "monetary": self._monetary,
            "date": lambda f, day, cur: day_text(day + rng.randrange(90)),
            "set": self._set,
            "enum": lambda f, day, cur: rng.choice(f.options or [None]).id,  # type: ignore[union-attr]
            "user": lambda f, day, cur: rng.choice(self._users),
            "org": lambda f, day, cur: self._any_id(account.organizations),
            "people": lambda f, day, cur: self._any_id(account.persons),
            "phone": lambda f, day, cur: phone(rng),
            "time": lambda f, day, cur: {"value": f"{rng.randrange(8, 19):02d}:30:00", **_TIMEZONE},
            "timerange": lambda f, day, cur: {
                "value": f"{rng.randrange(8, 12):02d}:00:00",
                "until": f"{rng.randrange(14, 19):02d}:00:00",
                **_TIMEZONE,
            },
            "daterange": self._daterange,
            "address": lambda f, day, cur: address(rng),
        }

    def make(self, field: FieldDefinition, second: int, currency: str = "BRL") -> Any:
        """Return a value for a field of a record that was created at `second`."""
        return self._makers[field.type](field, second // SECONDS_PER_DAY, currency)

    def fill(
        self, plans: list[tuple[FieldDefinition, float]], second: int, currency: str = "BRL"
    ) -> dict[str, Any]:
        """Return values for some of the fields, each with its own probability."""
        random, makers, day = self.rng.random, self._makers, second // SECONDS_PER_DAY
        values = {
            field.code: makers[field.type](field, day, currency)
            for field, share in plans
            if random() < share
        }
        return {key: value for key, value in values.items() if value is not None}

    def _any_id(self, table: Any) -> int | None:
        # Ids of a generated account have no gaps, so no list of them is needed.
        return self.rng.randrange(len(table)) + 1 if len(table) else None

    def _monetary(self, field: FieldDefinition, day: int, currency: str) -> dict[str, Any]:
        return {"value": self.rng.randrange(5, 400) * 100, "currency": currency}

    def _set(self, field: FieldDefinition, day: int, currency: str) -> list[int | str] | None:
        options = field.options or []
        return [o.id for o in options if self.rng.random() < 0.4] or None

    def _daterange(self, field: FieldDefinition, day: int, currency: str) -> dict[str, str]:
        first = day + self.rng.randrange(10, 60)
        return {"value": day_text(first), "until": day_text(first + 364)}


def phone(rng: Random) -> str:
    """Return an invented Brazilian mobile number."""
    return f"+55 {rng.randrange(11, 99)} 9{rng.randrange(1000, 9999)}-{rng.randrange(1000, 9999)}"


def address(rng: Random) -> dict[str, Any]:
    """Return an address with most of its parts."""
    city, state, _ = rng.choice(names.CITIES)
    street, number = rng.choice(names.STREETS), str(rng.randrange(10, 4000))
    whole = f"{street}, {number} - {city}, {state}, Brasil"
    parts = dict.fromkeys(ADDRESS_PARTS)
    return {"value": whole} | parts | {
        "street_number": number, "route": street, "locality": city, "admin_area_level_1": state,
        "admin_area_level_2": city, "country": "Brasil", "formatted_address": whole,
        "postal_code": f"{rng.randrange(1000, 99999):05d}-{rng.randrange(1000):03d}",
    }  # fmt: skip
