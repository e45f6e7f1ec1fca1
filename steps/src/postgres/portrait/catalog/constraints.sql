select i.type || ' ' || i.identity, coalesce(r.object, 'type ' || t.oid::regtype::text),
    a.attr, a.value
from pg_constraint c
left join rel r on r.oid = c.conrelid
left join pg_type t on t.oid = c.contypid and t.typnamespace in (select oid from ns)
    and not exists (select from member e where e.classid = 'pg_type'::regclass and e.objid = t.oid),
lateral pg_identify_object('pg_constraint'::regclass, c.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('~definition', pg_get_constraintdef(c.oid)),
    ('validated', case when c.convalidated then 'yes' else 'no' end),
    ('inherited', case when c.coninhcount > 0 and not coalesce(r.relispartition, false) then
        case when c.conislocal then 'and declared' else 'only' end end),
    -- The triggers that keep a foreign key have names with numbers in them.
    ('enforced', case when c.contype = 'f' then
        (select string_agg(distinct tgenabled::text, ', ' order by tgenabled::text)
         from pg_trigger g where g.tgconstraint = c.oid) end)
) a(attr, value)
where (r.oid is not null or t.oid is not null) and a.value is not null
    -- Constraint triggers are triggers; what a partition has from its parent follows the parent.
    and c.contype <> 't'
    and not (c.contype = 'f' and c.conparentid <> 0)
    and not (coalesce(r.relispartition, false) and c.contype in ('c', 'n') and not c.conislocal)
