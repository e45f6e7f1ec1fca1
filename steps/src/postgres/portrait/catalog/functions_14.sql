select i.type || ' ' || i.identity, null, '~sql body', pg_get_function_sqlbody(p.oid)
from pg_proc p
join ns on ns.oid = p.pronamespace,
lateral pg_identify_object('pg_proc'::regclass, p.oid, 0) i
where pg_get_function_sqlbody(p.oid) is not null
    and not exists (select from member e where e.classid = 'pg_proc'::regclass and e.objid = p.oid)
