-- Every column of every table that holds rows, those of extensions included.
with recursive ns as materialized (
    select oid, nspname from pg_namespace
    where nspname not in ('pg_catalog', 'information_schema')
      and nspname !~ '^pg_(toast|temp_|toast_temp_)'
), up as (
    select c.oid as leaf, h.inhparent as above, 1 as level
    from pg_class c join pg_inherits h on h.inhrelid = c.oid where c.relispartition
    union all
    select u.leaf, h.inhparent, u.level + 1
    from up u join pg_inherits h on h.inhrelid = u.above
    join pg_class p on p.oid = u.above where p.relispartition
), base as (
    select oid, oid as base from pg_type where typtype <> 'd'
    union all
    select t.oid, b.base from base b join pg_type t on t.typtype = 'd' and t.typbasetype = b.oid
)
select i.type || ' ' || i.identity, c.relkind = 'm',
    -- Where a hash decides about the partition, and it may be one of numbers of this server
    -- (an enum's), rows are in a partition by chance.
    (select p.type || ' ' || p.identity from up u
        join pg_partitioned_table k on k.partrelid = u.above and k.partstrat = 'h',
        lateral pg_identify_object('pg_class'::regclass, u.above, 0) p
        where u.leaf = c.oid order by u.level desc limit 1),
    i.identity,
    pg_table_size(c.oid),
    array(select a.attname::text from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum),
    array(select case when t.typnamespace = 'pg_catalog'::regnamespace then t.typname::text
            else '' end
        from pg_attribute a join base b on b.oid = a.atttypid join pg_type t on t.oid = b.base
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum),
    array(select a.attname::text from pg_index x, unnest(x.indkey) with ordinality k(n, o)
        join pg_attribute a on a.attnum = k.n
        where x.indrelid = c.oid and x.indisprimary and a.attrelid = c.oid order by k.o),
    pg_relation_size(c.oid),
    coalesce((select m.amname = 'heap' from pg_am m where m.oid = c.relam), false)
from pg_class c join ns on ns.oid = c.relnamespace,
lateral pg_identify_object('pg_class'::regclass, c.oid, 0) i
where c.relkind = 'r' or (c.relkind = 'm' and c.relispopulated)
