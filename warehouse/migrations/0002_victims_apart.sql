-- Data on trafficking have a store of their own (victims/victims.duckdb). `mhwg upgrade` has moved rows, held records and landed
-- files there before this step runs (victims_apart.py); here they are removed from the warehouse.
delete from ops.quarantine_decision where quarantine_id in (
    select quarantine_id from quarantine.record where table_name in ('staging.victim_count', 'restricted.victim_count')
);
delete from quarantine.record where table_name in ('staging.victim_count', 'restricted.victim_count');
drop schema if exists restricted cascade;
drop table if exists staging.victim_count;
