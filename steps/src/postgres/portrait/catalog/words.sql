-- Comments and security labels.
select case when d.objsubid <> 0 and d.classoid = 'pg_class'::regclass then 'column ' || i.identity
        else i.type || ' ' || i.identity end,
    null, 'comment', d.description
from pg_description d, lateral pg_identify_object(d.classoid, d.objoid, d.objsubid) i
where (d.objoid >= 16384 or (d.classoid = 'pg_namespace'::regclass
        and d.objoid in (select oid from ns)))
    and d.classoid <> 'pg_largeobject'::regclass
    and i.identity is not null
    and coalesce(i.schema, '') !~ '^pg_(toast|temp_|toast_temp_)'
    and not exists (select from member e where e.classid = d.classoid and e.objid = d.objoid)
union all
select case when l.objsubid <> 0 and l.classoid = 'pg_class'::regclass then 'column ' || i.identity
        else i.type || ' ' || i.identity end,
    null, 'security label of ' || quote_ident(l.provider), l.label
from pg_seclabel l, lateral pg_identify_object(l.classoid, l.objoid, l.objsubid) i
where l.classoid <> 'pg_largeobject'::regclass and i.identity is not null
