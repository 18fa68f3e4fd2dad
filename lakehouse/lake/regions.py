"""The 18 regions, as the API names them and as they are counted in each other. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """A region as the API names it. ``parent`` is the aggregate that it is counted in."""

    regionid: int
    dno: str
    shortname: str
    kind: str
    parent: int | None


_REGIONS = """\
1|Scottish Hydro Electric Power Distribution|North Scotland|16
2|SP Distribution|South Scotland|16
3|Electricity North West|North West England|15
4|NPG North East|North East England|15
5|NPG Yorkshire|Yorkshire|15
6|SP Manweb|North Wales & Merseyside|17
7|WPD South Wales|South Wales|17
8|WPD West Midlands|West Midlands|15
9|WPD East Midlands|East Midlands|15
10|UKPN East|East England|15
11|WPD South West|South West England|15
12|SSE South|South England|15
13|UKPN London|London|15
14|UKPN South East|South East England|15
15|England|England|18
16|Scotland|Scotland|18
17|Wales|Wales|18
18|GB|GB|"""


def _region(line: str) -> Region:
    number, dno, shortname, parent = line.split("|")
    kind = "gb" if not parent else "nation" if parent == "18" else "dno_region"
    return Region(int(number), dno, shortname, kind, int(parent) if parent else None)


REGIONS = tuple(_region(line) for line in _REGIONS.splitlines())
"""The 18 regions. Region 6 lies on both sides of the Welsh border; it is counted under Wales, its first name."""
FORMER_NAMES = {6: "North Wales and Merseyside"}
"""Names used before; region 6 was renamed on 2020-04-20/21."""
