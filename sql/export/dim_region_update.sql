-- Update what differs, nulls included. Rows that are equal are neither locked nor written.
UPDATE carbon_data.dim_region AS t
SET (
    shortname, dno, kind, parent_regionid
) = ROW (
    s.shortname, s.dno, s.kind, s.parent_regionid
)
FROM carbon_data.staging_dim_region AS s
WHERE s.run_id = :run_id
    AND s.is_deleted IS NOT TRUE
    AND t.regionid = s.regionid
    AND (
        t.shortname, t.dno, t.kind, t.parent_regionid
    ) IS DISTINCT FROM (
        s.shortname, s.dno, s.kind, s.parent_regionid
    );
