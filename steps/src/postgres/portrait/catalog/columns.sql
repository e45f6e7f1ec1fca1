select 'column ' || substr(r.object, strpos(r.object, ' ') + 1) || '.' || quote_ident(c.attname),
    r.object, a.attr, a.value
from rel r
join (
    select a.*, to_jsonb(a) as j,
        -- Dropped columns leave gaps in the numbers, not in the order.
        row_number() over (partition by attrelid order by attnum) as position
    from pg_attribute a where attnum > 0 and not attisdropped
) c on c.attrelid = r.oid
join pg_type t on t.oid = c.atttypid
left join pg_attrdef d on d.adrelid = c.attrelid and d.adnum = c.attnum,
lateral (values
    ('exists', 'yes'),
    ('position', c.position::text),
    ('type', format_type(c.atttypid, c.atttypmod)),
    ('collation', case when c.attcollation <> 0 and c.attcollation <> t.typcollation
        then c.attcollation::regcollation::text end),
    ('not null', case when c.attnotnull then 'yes' end),
    ('~default', pg_get_expr(d.adbin, d.adrelid)),
    ('identity', case c.attidentity when 'a' then 'always' when 'd' then 'by default' end),
    ('generated', case c.j ->> 'attgenerated' when 's' then 'stored' when 'v' then 'virtual' end),
    ('storage', case when r.relkind in ('r', 'p', 'm') then c.attstorage::text end),
    ('compression', nullif(c.j ->> 'attcompression', '')),
    ('statistics target', nullif(c.j ->> 'attstattarget', '-1')),
    ('options', (select string_agg(o, ', ' order by o) from unnest(c.attoptions) o)),
    ('#options', (select string_agg(o, ', ' order by o) from unnest(c.attfdwoptions) o)),
    -- A partition is attached after it is made; where its columns come from says nothing then.
    ('inherited', case when c.attinhcount > 0 and not r.relispartition then
        case when c.attislocal then 'and declared' else 'only' end end)
) a(attr, value)
where a.value is not null and r.relkind <> 'S'
