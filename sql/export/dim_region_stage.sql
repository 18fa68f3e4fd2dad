INSERT INTO carbon_data.staging_dim_region (regionid, shortname, dno, kind, parent_regionid, run_id)
VALUES (:regionid, :shortname, :dno, :kind, :parent_regionid, :run_id);
