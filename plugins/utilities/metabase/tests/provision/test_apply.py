"""From nothing to everything, again to nothing new, and what hands and accidents did in between."""

from __future__ import annotations

from conftest import Command, Site


def test_the_first_apply_makes_everything_and_the_second_sends_no_write(
    site: Site, run: Command
) -> None:
    assert run("apply") == 0, site.err
    print(site.out)
    assert run("apply") == 0, site.err
    assert site.standin.writes == []
    assert "No changes" in site.out
