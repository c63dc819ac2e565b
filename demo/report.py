"""The report for people."""

from __future__ import annotations

from typing import Any


def printed(report: dict[str, Any]) -> str:
    """The report as lines, the verdict first."""
    clone, rekey, exchange = report["clone"], report["rekey"], report["exchange"]
    withheld, access = report["withheld"], report["access"]
    verdict = "Every value is proven." if report["proven"] else "NOT PROVEN: see the lines below."
    lines = [
        "",
        verdict,
        "",
        f"  rows                              {report['rows']:>12,}",
        f"  values encrypted                  {report['values_encrypted']:>12,}",
        f"  clear values left                 {report['plaintext_left']:>12,}",
        f"  readable on the clone             {clone['values_readable']:>12,}"
        f" of {clone['values_total']:,}",
        f"  key exchange                      {exchange['status']:>12},"
        f" {exchange['imported_key_count']} of {exchange['total_key_count']} keys",
        f"  on the source's key after rekey   {rekey['values_on_source_key']:>12,}",
        f"  readable after rekey              {rekey['values_readable']:>12,}"
        f" of {rekey['values_total']:,}",
        f"  source's key opens the target     {_yes(withheld['source_key_opens_target']):>12}"
        f" (control: {_yes(withheld['control_source_key_opens_source'])})",
        f"  target's key opens the source     {_yes(withheld['target_key_opens_source']):>12}"
        f" (control: {_yes(withheld['control_target_key_opens_target'])})",
        f"  clear for support, empty else     {_yes(all(access.values())):>12}",
        "",
        f"  {'phase':<20}{'seconds':>10}{'values/s':>12}",
    ]
    for name, phase in report["phases"].items():
        rate = phase["values_per_second"]
        shown = f"{rate:,}" if rate and name != "key_exchange" else ""
        lines.append(f"  {name.replace('_', ' '):<20}{phase['seconds']:>10.2f}{shown:>12}")
    lines.append(f"  {'all':<20}{report['seconds']:>10.1f}")
    return "\n".join(lines)


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"
