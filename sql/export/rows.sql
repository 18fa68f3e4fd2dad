SELECT {columns}
FROM carbon_data.{table}
WHERE {part} = ANY (:parts);
