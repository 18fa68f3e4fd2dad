SELECT
    regionid, shortname, dno, kind, parent_regionid
FROM carbon_data.dim_region;
