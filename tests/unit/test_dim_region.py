"""The regions from literal days: named as in the newest one, of a declared kind."""

from datetime import date

from chispa import assert_df_equality
from pyspark.sql import SparkSession

from lakehouse.transform.gold import dim_region


def test_describes_regions_by_their_newest_day(spark: SparkSession) -> None:
    days = spark.createDataFrame(
        [
            (6, date(2020, 4, 22), "North Wales & Merseyside", "SP Manweb"),
            (6, date(2020, 4, 20), "North Wales and Merseyside", "SP Manweb"),
            (18, date(2020, 4, 20), "GB", "GB"),
            (17, date(2020, 4, 20), "Wales", "Wales"),
        ],
        "regionid INT, date_recorded DATE, shortname STRING, dno STRING",
    )
    expected = spark.createDataFrame(
        [
            (6, "North Wales & Merseyside", "SP Manweb", "dno_region", 17),
            (17, "Wales", "Wales", "nation", 18),
            (18, "GB", "GB", "gb", None),
        ],
        "regionid INT, shortname STRING, dno STRING, kind STRING, parent_regionid INT",
    )
    assert_df_equality(dim_region.build(days), expected, ignore_row_order=True)
