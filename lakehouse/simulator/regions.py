"""The places the API answers for: 18 regions with their names, and outward postcodes."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Region:
    """One region as the API names it: 1-14 distribution regions, 15-17 nations, 18 Great Britain."""

    regionid: int
    dnoregion: str
    shortname: str


REGIONS: tuple[Region, ...] = (
    Region(1, "Scottish Hydro Electric Power Distribution", "North Scotland"),
    Region(2, "SP Distribution", "South Scotland"),
    Region(3, "Electricity North West", "North West England"),
    Region(4, "NPG North East", "North East England"),
    Region(5, "NPG Yorkshire", "Yorkshire"),
    Region(6, "SP Manweb", "North Wales & Merseyside"),
    Region(7, "WPD South Wales", "South Wales"),
    Region(8, "WPD West Midlands", "West Midlands"),
    Region(9, "WPD East Midlands", "East Midlands"),
    Region(10, "UKPN East", "East England"),
    Region(11, "WPD South West", "South West England"),
    Region(12, "SSE South", "South England"),
    Region(13, "UKPN London", "London"),
    Region(14, "UKPN South East", "South East England"),
    Region(15, "England", "England"),
    Region(16, "Scotland", "Scotland"),
    Region(17, "Wales", "Wales"),
    Region(18, "GB", "GB"),
)

# Region 6 was written with "and" until 2020-04-20/21.
RENAMED_REGIONID = 6
OLD_SHORTNAME = "North Wales and Merseyside"

NATIONS: dict[str, int] = {"england": 15, "scotland": 16, "wales": 17}
"""The regionid behind each nation's own route."""

# Postcode areas by the distribution region that serves most of them. An area split between two networks
# stands once: the simulator needs one answer for a postcode, not the networks' true borders.
_AREAS: dict[int, str] = {
    1: "AB DD HS IV KW PA PH ZE",
    2: "DG EH FK G KA KY ML TD",
    3: "BB BL CA FY LA M OL PR SK WN",
    4: "DH DL NE SR TS",
    5: "BD DN HD HG HU HX LS S WF YO",
    6: "CH CW L LL SY WA",
    7: "CF LD NP SA",
    8: "B DY HR ST TF WR WS WV",
    9: "CV DE LE LN MK NG NN",
    10: "AL CB CM CO EN HP IP LU NR PE SG SS WD",
    11: "BA BS EX GL PL TA TQ TR",
    12: "BH DT GU HA OX PO RG SL SN SO SP TW UB",
    13: "BR CR DA E EC IG KT N NW RM SE SM SW W WC",
    14: "BN CT ME RH TN",
}
_REGION_OF_AREA = {area: regionid for regionid, areas in _AREAS.items() for area in areas.split()}

_OUTWARD = re.compile(r"([A-Z]{1,2})[0-9][0-9A-Z]?")


def region_of_postcode(outward: str) -> int | None:
    """Give the regionid (1-14) of an outward postcode such as ``RG10``; None if there is no such place."""
    matched = _OUTWARD.fullmatch(outward.upper())
    return _REGION_OF_AREA.get(matched[1]) if matched else None
