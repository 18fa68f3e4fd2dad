-- Insert what is missing, found by an anti-join. ON CONFLICT is for a row that another session commits at this very
-- moment: the update that follows corrects it.
INSERT INTO carbon_data.dim_region (
    regionid, shortname, dno, kind, parent_regionid
)
SELECT DISTINCT
    s.regionid, s.shortname, s.dno, s.kind, s.parent_regionid
FROM carbon_data.staging_dim_region AS s
WHERE s.run_id = :run_id
    AND s.is_deleted IS NOT TRUE
    AND NOT EXISTS (
        SELECT FROM carbon_data.dim_region AS t
        WHERE t.regionid = s.regionid
    )
ON CONFLICT (regionid) DO NOTHING;
