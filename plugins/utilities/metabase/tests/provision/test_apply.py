"""From nothing to everything, again to nothing new, and what hands and accidents did in between."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import replace

import pytest
from pipeboard_metabase.client import Client
from pipeboard_metabase.definitions import Filter
from pipeboard_metabase.ownership_tag import read_tag, without_tag
from pipeboard_metabase.views import collection_view
from provision_helpers import CARDS, Command, Site, small_definitions, without_card
from standin import StandIn


def signs(output: str) -> list[str]:
    """Return the changes that were shown: their sign, kind and name."""
    return re.findall(r"(?m)^  ([+~-] .+?) *$", re.sub(" +", " ", output).replace("\n ", "\n  "))


def one(shelf: dict, name: str) -> dict:
    (found,) = [item for item in shelf.values() if item["name"] == name]
    return found


def card(standin: StandIn, key: str) -> dict:
    return one(standin.cards, f"card.{key} in English")


# --- From nothing --------------------------------------------------------------------------------


def test_the_first_apply_makes_everything_and_the_second_sends_no_write(
    site: Site, run: Command
) -> None:
    assert run("apply") == 0, site.err
    standin = site.standin
    assert len(standin.cards) == 3 and len(standin.dashboards) == 2
    assert [c["name"] for c in standin.collections.values()] == ["Pipedrive", "Cards"]
    assert "+ create card total 'card.total in English'" in signs(site.out)
    assert site.out.splitlines()[-1].startswith("Done: ")

    assert run("apply") == 0, site.err
    assert standin.writes == []
    assert site.out.endswith("No changes: Metabase is as the files say.\n")
    # The key of the first run let us in: no login either.
    assert not any(path == "session" for _, path, _ in standin.log)
    assert run("plan") == 0 and run("check") == 0
    assert standin.writes == []


def test_a_plan_says_what_apply_then_does_and_sends_nothing(site: Site, run: Command) -> None:
    assert run("plan") == 2
    planned, standin = signs(site.out), site.standin
    assert standin.writes == [] and not standin.users
    assert re.search(
        r"^Plan: \d+ to create, \d+ to change, 0 to restore, 0 to archive\.$", site.out, re.M
    )
    assert run("apply") == 0, site.err
    # What a plan of nothing cannot see: which settings this version has, and tables and fields.
    unseen = (" setting ", " table ", " field ")
    planned, done = (
        [sign for sign in found if not any(kind in sign for kind in unseen)]
        for found in (planned, signs(site.out))
    )
    assert planned == done and len(done) == 12, done


def test_a_dashboard_has_its_tabs_places_filters_and_every_mapping(applied: Site) -> None:
    standin = applied.standin
    sales = one(standin.dashboards, "dashboard.sales in English")
    assert [tab["name"] for tab in sales["tabs"]] == [
        "tab.overview in English",
        "tab.attention in English",
    ]
    first, second = (tab["id"] for tab in sales["tabs"])
    total, by_owner, deals = (card(standin, key)["id"] for key in ("total", "by_owner", "deals"))
    places = {
        (c["card_id"], c["dashboard_tab_id"]): (c["row"], c["col"], c["size_x"], c["size_y"])
        for c in sales["dashcards"]
    }
    assert places == {
        (total, first): (0, 0, 6, 4),
        (by_owner, first): (4, 0, 12, 6),
        (deals, second): (0, 0, 24, 8),
        (total, second): (8, 0, 6, 4),
    }
    period, pipeline = sales["parameters"]
    assert (period["type"], period["default"]) == ("date/all-options", "past12months~")
    assert (pipeline["type"], pipeline["values_query_type"]) == ("string/=", "list")
    mapped = {
        c["card_id"]: sorted(
            (m["parameter_id"], m["target"][1][1]) for m in c["parameter_mappings"]
        )
        for c in sales["dashcards"]
    }
    assert mapped == {
        total: [(pipeline["id"], "pipeline")],
        by_owner: sorted([(pipeline["id"], "pipeline"), (period["id"], "period")]),
        deals: [],
    }
    assert standin.settings["custom-homepage-dashboard"]["value"] == sales["id"]
    assert sales["collection_position"] == 1


def test_a_card_is_a_native_question_with_field_filters(applied: Site) -> None:
    standin = applied.standin
    by_owner = card(standin, "by_owner")
    stage = by_owner["dataset_query"]["stages"][0]
    assert "[[and current_date in" in stage["native"]
    tag = stage["template-tags"]["period"]
    assert (tag["type"], tag["widget-type"]) == ("dimension", "date/all-options")
    assert standin.field(tag["dimension"][2])["name"] == "date_day"
    assert {p["id"] for p in by_owner["parameters"]} == {
        t["id"] for t in stage["template-tags"].values()
    }
    style = by_owner["visualization_settings"]
    assert by_owner["display"] == "combo"
    assert style["graph.dimensions"] == ["owner_name"]
    assert style["series_settings"]["n_deals"]["axis"] == "right"
    assert style["series_settings"]["n_deals"]["display"] == "line"
    assert style["column_settings"]['["name","value_base"]']["currency"] == "BRL"
    table = card(standin, "deals")["visualization_settings"]
    assert {c["name"]: c["enabled"] for c in table["table.columns"]}["deal_url"] is False
    assert table["column_settings"]['["name","title"]']["link_url"] == "{{deal_url}}"


def test_fields_have_the_names_of_the_dictionary_and_the_descriptions_of_dbt(applied: Site) -> None:
    fields = {
        (t["name"], f["name"]): f for t in applied.standin.tables.values() for f in t["fields"]
    }
    bonus = fields[("deal_wide", "cf_bonus")]
    assert bonus["display_name"] == 'Bônus; "drop"'
    assert bonus["description"] == "Custom field of deals (monetary)."
    assert fields[("deal_wide", "cf_bonus_currency")]["display_name"] == 'Bônus; "drop" (currency)'
    tier = fields[("deal_wide", "cf_tier")]
    assert tier["display_name"] == "Tier"
    assert tier["description"] == "How big. Custom field of deals (enum). Options: A; B."
    assert fields[("fct_deal", "deal_id")]["description"] == "The deal's id."
    owner = fields[("fct_deal", "owner_id")]
    assert owner["semantic_type"] == "type/FK"
    assert owner["fk_target_field_id"] == fields[("dim_user", "user_id")]["id"]
    (table,) = [t for t in applied.standin.tables.values() if t["name"] == "fct_deal"]
    assert table["description"] == "One row per deal."
    # A column that was dropped is still in PostgreSQL's catalogue, and nowhere else.
    assert ("gone", "y") not in fields and ("gone", "x") in fields


def test_permissions_let_everyone_look_and_analysts_ask(applied: Site) -> None:
    standin = applied.standin
    (database,) = map(str, standin.databases)
    (analysts,) = [str(n) for n, name in standin.groups.items() if name == "Pipeboard analysts"]
    grants = {
        group: standin.graph["groups"][group][database]["create-queries"]
        for group in ("1", analysts)
    }
    assert grants == {"1": "no", analysts: "query-builder-and-native"}
    for group in ("1", analysts):
        for collection in standin.collections:
            assert standin.collection_graph["groups"][group][str(collection)] == "read"
    # What is not managed stays as it was.
    assert standin.collection_graph["groups"]["1"]["root"] == "write"


def test_settings_are_set_where_the_version_has_them_and_nobody_else_decides(
    site: Site, run: Command
) -> None:
    site.standin.settings["enable-public-sharing"].update(
        is_env_setting=True, env_name="MB_ENABLE_PUBLIC_SHARING"
    )
    assert run("apply", METABASE_LOCALE="pt-BR", METABASE_SITE_URL="https://bi.example.org") == 0
    values = {key: setting["value"] for key, setting in site.standin.settings.items()}
    assert values["site-locale"] == "pt_BR" and values["start-of-week"] == "monday"
    assert values["site-url"] == "https://bi.example.org"
    assert values["enable-public-sharing"] is None
    assert "enable-public-sharing stays as MB_ENABLE_PUBLIC_SHARING says" in site.out
    # Its own default was right already.
    assert values["report-timezone"] == "America/Sao_Paulo"


def test_the_language_is_one_of_two_and_can_be_changed_later(applied: Site, run: Command) -> None:
    ids = {c["id"] for c in applied.standin.cards.values()}
    assert run("plan", "--locale", "pt") == 2
    assert "name: 'card.total in English' -> 'card.total, ó'" in applied.out
    assert run("apply", METABASE_LOCALE="pt") == 0, applied.err
    standin = applied.standin
    assert {c["id"] for c in standin.cards.values()} == ids
    assert {d["name"] for d in standin.dashboards.values()} == {
        "dashboard.sales, ó",
        "dashboard.list, ó",
    }
    money = next(c for c in standin.cards.values() if c["display"] == "scalar")
    assert '",."' in str(money["visualization_settings"]).replace("'", '"')
    assert run("check", METABASE_LOCALE="pt") == 0


# --- What changed, here or there -----------------------------------------------------------------


def test_a_changed_definition_is_all_that_a_plan_lists(applied: Site, run: Command) -> None:
    cards = dict(applied.definitions.cards)
    cards["deals"] = replace(cards["deals"], sql=cards["deals"].sql + " limit 9", width=12)
    applied.definitions = replace(applied.definitions, cards=cards)
    assert run("plan") == 2
    assert signs(applied.out) == ["~ update card deals 'card.deals in English'"]
    assert "the definition changed" in applied.out and re.search(r"^ +query", applied.out, re.M)
    number = card(applied.standin, "deals")["id"]
    assert run("apply") == 0
    assert applied.standin.writes == [f"PUT card/{number}"] * 2
    assert run("check") == 0


def test_a_renamed_card_keeps_its_number(applied: Site, run: Command) -> None:
    number = card(applied.standin, "total")["id"]
    translations = applied.definitions.translations
    texts = {**translations.texts, "card.total": {"en": "Grand total", "pt": "Total geral"}}
    applied.definitions = replace(
        applied.definitions, translations=replace(translations, texts=texts)
    )
    assert run("apply") == 0
    assert applied.standin.cards[number]["name"] == "Grand total"
    assert len(applied.standin.cards) == 3


def by_hand(standin: StandIn, path: str, body: dict) -> None:
    """Change something as an administrator does in the browser."""
    standin.add_user("boss@example.org", "secret1")
    boss = Client(standin.url)
    boss.identify(
        session=boss.post("session", {"username": "boss@example.org", "password": "secret1"})["id"]
    )
    boss.put(path, body)


@pytest.mark.parametrize(
    ("what", "body", "expected"),
    [
        ("card", {"name": "Mine now"}, "name: 'Mine now' -> 'card.total in English'"),
        ("card", {"display": "table"}, "display: 'table' -> 'scalar'"),
        ("card", {"visualization_settings": {}}, "look"),
        ("card", {"archived": True}, "it is in the trash"),
        ("dashboard", {"parameters": []}, "parameters"),
        ("dashboard", {"dashcards": [], "tabs": []}, "cards"),
        ("dashboard", {"archived": True}, "it is in the trash"),
        ("collection", {"name": "Elsewhere"}, "name: 'Elsewhere' -> 'Pipedrive'"),
    ],
)
def test_what_was_changed_by_hand_is_found_and_repaired(
    applied: Site, run: Command, what: str, body: dict, expected: str
) -> None:
    standin = applied.standin
    shelf = {
        "card": standin.cards,
        "dashboard": standin.dashboards,
        "collection": standin.collections,
    }[what]
    number = min(shelf)
    before = dict(shelf[number])
    by_hand(standin, f"{what}/{number}", body)
    assert run("check") == 1
    assert expected in applied.out
    assert len(signs(applied.out)) == 1
    assert run("apply") == 0, applied.err
    after = shelf[number]
    for name in ("name", "display", "visualization_settings", "archived"):
        assert after.get(name) == before.get(name)
    assert run("check") == 0


def test_a_description_by_hand_is_repaired_but_a_pin_is_nobodys_drift(
    applied: Site, run: Command
) -> None:
    total = card(applied.standin, "total")
    by_hand(applied.standin, f"card/{total['id']}", {"collection_position": 1, "cache_ttl": 5})
    assert run("check") == 0
    by_hand(
        applied.standin, f"card/{total['id']}", {"description": "Mine. " + total["description"]}
    )
    assert run("check") == 1
    assert run("apply") == 0
    assert without_tag(card(applied.standin, "total")["description"]).startswith("card.total")


def test_a_field_renamed_by_hand_and_a_label_renamed_in_pipedrive_are_repaired(
    applied: Site, run: Command
) -> None:
    field = next(
        f for t in applied.standin.tables.values() for f in t["fields"] if f["name"] == "cf_tier"
    )
    by_hand(applied.standin, f"field/{field['id']}", {"display_name": "Whatever"})
    assert run("check") == 1
    assert "display_name: 'Whatever' -> 'Tier'" in applied.out
    assert run("apply") == 0
    assert field["display_name"] == "Tier"


def test_tabs_and_cards_of_a_dashboard_keep_their_numbers(applied: Site, run: Command) -> None:
    """Subscriptions hang on them."""
    sales = one(applied.standin.dashboards, "dashboard.sales in English")
    numbers = {(c["card_id"], c["row"]): c["id"] for c in sales["dashcards"]}
    tabs = [tab["id"] for tab in sales["tabs"]]
    cards = dict(applied.definitions.cards)
    dashboard = applied.definitions.dashboards["sales"]
    moved = tuple(replace(place, w=place.w - 1) for place in dashboard.places)
    applied.definitions = replace(
        applied.definitions,
        cards=cards,
        dashboards={**applied.definitions.dashboards, "sales": replace(dashboard, places=moved)},
    )
    assert run("apply") == 0
    sales = one(applied.standin.dashboards, "dashboard.sales in English")
    assert {(c["card_id"], c["row"]): c["id"] for c in sales["dashcards"]} == numbers
    assert [tab["id"] for tab in sales["tabs"]] == tabs
    assert {c["size_x"] for c in sales["dashcards"]} == {5, 11, 23}


def test_what_nothing_defines_any_longer_is_archived_and_comes_back_as_itself(
    applied: Site, run: Command
) -> None:
    whole, standin = applied.definitions, applied.standin
    number = card(standin, "deals")["id"]
    applied.definitions = without_card(whole, "deals")
    assert run("plan") == 2
    assert "- archive card deals 'card.deals in English'" in signs(applied.out)
    assert run("apply") == 0
    assert standin.cards[number]["archived"] is True
    assert number not in {c["card_id"] for d in standin.dashboards.values() for c in d["dashcards"]}
    assert run("apply") == 0 and standin.writes == []
    applied.definitions = whole
    assert run("apply") == 0
    assert standin.cards[number]["archived"] is False and len(standin.cards) == 3
    assert run("check") == 0


def test_a_collection_in_the_trash_comes_back_with_all_that_lay_in_it(
    applied: Site, run: Command
) -> None:
    by_hand(applied.standin, f"collection/{min(applied.standin.collections)}", {"archived": True})
    assert all(d["archived"] for d in applied.standin.dashboards.values())
    assert run("apply") == 0, applied.err
    standin = applied.standin
    assert not any(
        item["archived"]
        for shelf in (standin.collections, standin.cards, standin.dashboards)
        for item in shelf.values()
    )
    assert (len(standin.collections), len(standin.cards), len(standin.dashboards)) == (2, 3, 2)
    assert run("check") == 0


# --- Objects of users --------------------------------------------------------------------------


def test_what_people_made_is_never_touched(applied: Site, run: Command) -> None:
    """Dashboards and a card of a user, and copies of a managed dashboard (with its tag)."""
    standin = applied.standin
    managed = one(standin.dashboards, "dashboard.sales in English")
    number = standin.number()
    standin.collections[number] = {
        **standin.collections[min(standin.collections)],
        "id": number, "name": "Ana's", "description": None, "personal_owner_id": 7, "location": "/",
    }  # fmt: skip
    of_users = {}
    for name, collection, description in (
        ("Copy of sales", number, managed["description"]),
        ("Ana's own", None, None),
        ("Ana's in the managed collection", managed["collection_id"], "By hand"),
        ("Duplicate in the managed collection", managed["collection_id"], managed["description"]),
    ):
        copy = standin.number()
        standin.dashboards[copy] = {
            **managed, "id": copy, "name": name,
            "collection_id": collection, "description": description,
        }  # fmt: skip
        of_users[copy] = dict(standin.dashboards[copy])
    mine = standin.number()
    total = card(standin, "total")
    standin.cards[mine] = {**total, "id": mine, "name": "Ana's card", "description": None}
    users_card = dict(standin.cards[mine])

    assert run("check") == 0, applied.out
    applied.definitions = without_card(applied.definitions, "by_owner")
    assert run("apply", METABASE_LOCALE="pt") == 0
    for copy, before in of_users.items():
        assert standin.dashboards[copy] == before
    assert standin.cards[mine] == users_card
    assert not any(f"dashboard/{copy}" in write for copy in of_users for write in standin.writes)


# --- Accidents -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where",
    ["POST database", r"PUT field/\d+", "POST permissions/group", "PUT permissions/graph"]
    + ["POST collection", "POST card", r"GET card/\d+", r"PUT card/\d+", "POST dashboard"]
    + [r"PUT dashboard/\d+", "PUT setting/custom-homepage"],
)
def test_a_run_that_broke_off_is_taken_up_again(site: Site, run: Command, where: str) -> None:
    site.standin.faults.append((where, 500))
    assert run("apply") == 69
    assert "out of order" in site.err and "Try again" in site.err
    assert run("apply") == 0, site.err
    assert run("apply") == 0 and site.standin.writes == []
    assert (len(site.standin.cards), len(site.standin.dashboards)) == (3, 2)
    assert len(site.standin.collections) == 2 and len(site.standin.databases) == 1


def test_a_stale_graph_is_read_again_and_what_others_did_to_it_stays(
    site: Site, run: Command
) -> None:
    standin = site.standin

    def meanwhile() -> None:
        standin.groups[77] = "Finance"
        standin.graph["groups"]["77"] = {"5": {"view-data": "unrestricted", "create-queries": "no"}}
        standin.graph["revision"] += 1

    standin.faults.append(("PUT permissions/graph", meanwhile))
    assert run("apply") == 0, site.err
    attempts = [
        body for method, path, body in standin.log if f"{method} {path}" == "PUT permissions/graph"
    ]
    assert [a["revision"] for a in attempts] == [1, 2]
    assert standin.graph["groups"]["77"] == {
        "5": {"view-data": "unrestricted", "create-queries": "no"}
    }
    assert run("check") == 0


def test_a_graph_that_never_holds_still_is_given_up(site: Site, run: Command) -> None:
    def meanwhile() -> None:
        site.standin.collection_graph["revision"] += 1

    site.standin.faults += [("PUT collection/graph", meanwhile)] * 5
    assert run("apply") == 69
    assert "another user keeps changing the permissions" in site.err


def test_short_outages_are_waited_out(site: Site, run: Command) -> None:
    site.standin.faults += [("GET setting", 503), ("GET setting", 502), (r"PUT card/\d+", 504)]
    site.standin.starting = 3
    assert run("apply") == 0, site.err
    assert "waiting for" in site.out
    # What creates is not sent twice: it may have arrived.
    site.standin.faults.append(("POST card", 503))
    site.standin.cards.clear()
    site.standin.dashboards.clear()
    assert run("apply") == 69
    assert run("apply") == 0 and len(site.standin.cards) == 3


def test_the_tag_is_found_in_a_description_and_can_be_taken_out() -> None:
    text = 'A text.\n\n[pipeboard]: # "card/total spec:0a1b seen:2c3d"'
    tag = read_tag(text)
    assert tag and (tag.kind, tag.key, tag.spec, tag.seen) == ("card", "total", "0a1b", "2c3d")
    assert tag.on("A text.") == text and without_tag(text) == "A text."
    assert read_tag("A text.") is None and read_tag(None) is None
    assert without_tag(text + "\n") == "A text."


def test_a_filter_on_a_column_that_is_not_there_is_refused_by_name(
    site: Site, run: Command
) -> None:
    cards = dict(site.definitions.cards)
    column = replace(cards["total"].filters["pipeline"], name="nowhere")
    cards["total"] = replace(cards["total"], filters={"pipeline": column})
    site.definitions = replace(
        site.definitions,
        cards=cards,
        filters={**site.definitions.filters, "x": Filter("x", "text")},
    )
    assert run("apply") == 65
    assert "filter pipeline of card total points at marts.dim_pipeline.nowhere" in site.err


def test_without_a_list_of_the_trash_what_is_in_it_is_not_looked_for(
    applied: Site, run: Command
) -> None:
    site = applied
    site.standin.faults.append(("GET dashboard", 404))
    assert run("check") == 0, site.err
    site.standin.faults.append(("GET dashboard", 500))
    assert run("check") == 69
    assert "GET /api/dashboard (500)" in site.err


def test_permissions_that_another_user_has_set_meanwhile_are_not_sent_again(
    applied: Site, run: Command
) -> None:
    standin = applied.standin
    wanted = deepcopy(standin.graph["groups"])
    standin.graph["groups"] = {group: {} for group in wanted}

    def meanwhile() -> None:
        standin.graph.update(groups=wanted, revision=standin.graph["revision"] + 1)

    standin.faults.append(("PUT permissions/graph", meanwhile))
    assert run("apply") == 0, applied.err
    assert [path for method, path, _ in standin.log if method == "PUT"] == ["permissions/graph"]
    assert run("check") == 0


def test_a_collection_of_a_list_is_in_the_last_part_of_its_location() -> None:
    """A list names the place of a collection; the collection alone its parent."""
    assert collection_view({"name": "A", "location": "/3/17/"})["parent"] == 17
    assert collection_view({"name": "A", "location": "/"})["parent"] is None
    assert collection_view({"name": "A", "parent_id": 17, "location": "/3/"})["parent"] == 17


def test_shares_are_a_pie_and_addresses_are_links(
    site: Site, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = CARDS["by_owner"].replace("combo", "pie").replace("lines: [n_deals]\n", "")
    share = share.replace("right_axis: [n_deals]\n", "")
    monkeypatch.setitem(CARDS, "by_owner", share)
    address = CARDS["deals"].replace("period:", "format: {deal_url: url}\nperiod:")
    monkeypatch.setitem(CARDS, "deals", address)
    site.definitions = small_definitions()
    assert run("apply") == 0, site.err
    looks = {card["name"].split()[0]: card for card in site.standin.cards.values()}
    pie = looks["card.by_owner"]
    assert pie["display"] == "pie"
    assert pie["visualization_settings"]["pie.dimension"] == "owner_name"
    assert pie["visualization_settings"]["pie.metric"] == "value_base"
    columns = looks["card.deals"]["visualization_settings"]["column_settings"]
    assert columns['["name","deal_url"]']["view_as"] == "link"
