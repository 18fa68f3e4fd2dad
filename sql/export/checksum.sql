-- The checksum of each part of a table, whatever the order of rows: how many there are, and the sum of their numbers.
-- PostgreSQL and DuckDB both run this text, each with its own rendering of a part and of a row's number.
SELECT part, count(*), sum(number)
FROM (SELECT {part} AS part, {number} AS number FROM {rows}) AS numbered
GROUP BY part
ORDER BY part;
