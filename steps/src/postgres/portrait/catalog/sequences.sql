select r.object, null, a.attr, a.value
from rel r join pg_sequence s on s.seqrelid = r.oid,
lateral (values
    ('type', s.seqtypid::regtype::text),
    ('start', s.seqstart::text),
    ('increment', s.seqincrement::text),
    ('minimum', s.seqmin::text),
    ('maximum', s.seqmax::text),
    ('cache', s.seqcache::text),
    ('cycle', s.seqcycle::text),
    ('owned by', (select string_agg(format('%s.%I%s', d.refobjid::regclass, a.attname,
            case d.deptype when 'i' then ' (identity)' else '' end), ', ')
        from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
        where d.classid = 'pg_class'::regclass and d.objid = r.oid
            and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')))
) a(attr, value)
where a.value is not null
