select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_operator o
join ns on ns.oid = o.oprnamespace,
lateral pg_identify_object('pg_operator'::regclass, o.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('result', nullif(o.oprresult, 0)::regtype::text),
    ('function', o.oprcode::text),
    ('commutator', nullif(o.oprcom, 0)::regoperator::text),
    ('negator', nullif(o.oprnegate, 0)::regoperator::text),
    ('restrict', o.oprrest::text),
    ('join', o.oprjoin::text),
    ('merges', o.oprcanmerge::text),
    ('hashes', o.oprcanhash::text)
) a(attr, value)
where a.value is not null
    and not exists (select from member e
        where e.classid = 'pg_operator'::regclass and e.objid = o.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_opclass o
join ns on ns.oid = o.opcnamespace
join pg_opfamily f on f.oid = o.opcfamily,
lateral pg_identify_object('pg_opclass'::regclass, o.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('family', f.opfnamespace::regnamespace::text || '.' || quote_ident(f.opfname)),
    ('of type', o.opcintype::regtype::text),
    ('default', o.opcdefault::text),
    ('key type', nullif(o.opckeytype, 0)::regtype::text)
) a(attr, value)
where a.value is not null
    and not exists (select from member e
        where e.classid = 'pg_opclass'::regclass and e.objid = o.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_opfamily f
join ns on ns.oid = f.opfnamespace,
lateral pg_identify_object('pg_opfamily'::regclass, f.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('operators', (select string_agg(format('%s %s %s', o.amopstrategy, o.amopopr::regoperator,
            o.amoppurpose), ', ' order by o.amopstrategy, o.amopopr::regoperator::text)
        from pg_amop o where o.amopfamily = f.oid)),
    ('functions', (select string_agg(format('%s (%s, %s) %s', p.amprocnum,
            p.amproclefttype::regtype, p.amprocrighttype::regtype, p.amproc::oid::regprocedure), ', '
            order by p.amprocnum, p.amproclefttype::regtype::text,
                p.amprocrighttype::regtype::text)
        from pg_amproc p where p.amprocfamily = f.oid))
) a(attr, value)
where a.value is not null
    and not exists (select from member e
        where e.classid = 'pg_opfamily'::regclass and e.objid = f.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_cast c,
lateral pg_identify_object('pg_cast'::regclass, c.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('function', nullif(c.castfunc, 0)::regprocedure::text),
    ('context', c.castcontext::text),
    ('method', c.castmethod::text)
) a(attr, value)
where a.value is not null and c.oid >= 16384
    and not exists (select from member e where e.classid = 'pg_cast'::regclass and e.objid = c.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from (select t.*, to_jsonb(t) as j from pg_transform t) t,
lateral pg_identify_object('pg_transform'::regclass, t.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('functions', format('%s, %s', t.trffromsql, t.trftosql))
) a(attr, value)
where t.oid >= 16384
    and not exists (select from member e
        where e.classid = 'pg_transform'::regclass and e.objid = t.oid)
