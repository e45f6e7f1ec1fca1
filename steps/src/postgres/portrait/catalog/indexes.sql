select i.type || ' ' || i.identity, r.object, a.attr, a.value
from rel r
join pg_index x on x.indrelid = r.oid
join pg_class c on c.oid = x.indexrelid,
lateral pg_identify_object('pg_class'::regclass, c.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('~definition', pg_get_indexdef(c.oid)),
    ('valid', case when x.indisvalid then 'yes' else 'no' end),
    ('ready', case when x.indisready then 'yes' else 'no' end),
    ('checked', case when x.indimmediate then 'at once' else 'deferrable' end),
    ('partition of', (select h.inhparent::regclass::text from pg_inherits h where h.inhrelid = c.oid)),
    ('statistics targets', (select string_agg(t.attnum || ': ' || t.target, ', ' order by t.attnum)
        from (select attnum, to_jsonb(b) ->> 'attstattarget' as target from pg_attribute b
              where b.attrelid = c.oid) t
        where t.target <> '-1'))
) a(attr, value)
where a.value is not null
