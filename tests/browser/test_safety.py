"""What the app shows is text, and nothing leaves the machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ui.main import PAGES

OUTSIDE = "http://elsewhere.example"
MARKUP = (
    f"<img src={OUTSIDE}/a> <script>fetch('{OUTSIDE}/b')</script> ![c]({OUTSIDE}/c) "
    f"<style>@import '{OUTSIDE}/d'</style> :material/home: [e]({OUTSIDE}/e) $x$ **bold** "
    f"{OUTSIDE}/f www.elsewhere.example somebody@elsewhere.example"
)
TITLES = [title for files in PAGES.values() for title, _ in files.values()]


@pytest.fixture
def hostile(write_recipe: Callable[..., Path], tmp_path: Path) -> Path:
    """A recipe whose names, texts and data all try to reach another machine."""
    path = write_recipe(
        tmp_path,
        description=MARKUP,
        template={"type": "chat", "system": MARKUP},
        training={"max_steps": 2},
    )
    rows = [{"prompt": f"{n} {MARKUP}", "completion": MARKUP} for n in range(60)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "rows.jsonl").write_text(lines, "utf-8")
    return path.rename(tmp_path / "![c](http:elsewhere.example) www.elsewhere.example.json")


def test_a_request_to_another_machine_is_seen(
    serve: Callable[[], Any], visit: Callable[..., Any]
) -> None:
    window = visit(serve().url, bypass_csp=True)
    window.page.evaluate(f"fetch('{OUTSIDE}/').catch(() => null)")
    assert window.elsewhere == [f"{OUTSIDE}/"]
    window.elsewhere.clear()


def test_the_browser_itself_asks_no_other_machine(
    serve: Callable[[], Any], visit: Callable[..., Any]
) -> None:
    window = visit(serve().url)
    window.page.evaluate(f"fetch('{OUTSIDE}/').catch(() => null)")
    window.page.evaluate(f"document.body.append(Object.assign(new Image(), {{src: '{OUTSIDE}/'}}))")
    window.page.evaluate(f"new FontFace('x', 'url({OUTSIDE}/)').load().catch(() => null)")
    window.page.wait_for_timeout(300)
    assert not window.elsewhere


def test_every_page_of_an_empty_folder_stays_at_home(
    serve: Callable[[], Any], visit: Callable[..., Any]
) -> None:
    window = visit(serve().url, bypass_csp=True)
    for title in TITLES[1:]:
        window.go(title)
    assert not window.elsewhere


def test_markup_in_recipe_and_data_is_text(
    serve: Callable[[], Any], visit: Callable[..., Any], hostile: Path
) -> None:
    window = visit(serve().url, bypass_csp=True)
    window.click(hostile.name)
    for title in TITLES[1:]:
        window.go(title)
        window.page.wait_for_timeout(500)
        assert not links(window), title
    window.go("Data")
    for view in ("Rows", "As the model sees it", "Profile"):
        window.page.get_by_role("radio", name=view).or_(
            window.page.get_by_role("button", name=view)
        ).first.click()
        window.settled()
        assert not links(window), view
    window.go("Checklist")
    window.click("Check everything")
    window.sees("Mend what can be mended")
    assert not links(window)
    assert not window.elsewhere


def links(window: Any) -> list[str]:
    """Elements that name another machine."""
    found = window.page.locator("[src*='elsewhere.example'], [href*='elsewhere.example']")
    return [str(one.evaluate("element => element.outerHTML")) for one in found.all()]
