select i.type || ' ' || i.identity, r.object, a.attr, a.value
from rel r
join pg_trigger g on g.tgrelid = r.oid and not g.tgisinternal,
lateral pg_identify_object('pg_trigger'::regclass, g.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('~definition', pg_get_triggerdef(g.oid)),
    ('enabled', case g.tgenabled when 'O' then 'yes' when 'D' then 'no' when 'R' then 'replica'
        else 'always' end)
) a(attr, value)
where a.value is not null
union all
select i.type || ' ' || i.identity, r.object, a.attr, a.value
from rel r
join pg_rewrite w on w.ev_class = r.oid and w.rulename <> '_RETURN',
lateral pg_identify_object('pg_rewrite'::regclass, w.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('~definition', pg_get_ruledef(w.oid)),
    ('enabled', case w.ev_enabled when 'O' then 'yes' when 'D' then 'no' when 'R' then 'replica'
        else 'always' end)
) a(attr, value)
where a.value is not null
union all
select i.type || ' ' || i.identity, r.object, a.attr, a.value
from rel r
join pg_policy p on p.polrelid = r.oid,
lateral pg_identify_object('pg_policy'::regclass, p.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('command', case p.polcmd when '*' then 'all' else p.polcmd::text end),
    ('permissive', case when p.polpermissive then 'yes' else 'no' end),
    ('roles', (select string_agg(coalesce(chr(1) || o.rolname || chr(2), 'public'), ', '
            order by o.rolname)
        from unnest(p.polroles) m left join pg_roles o on o.oid = m)),
    ('~using', pg_get_expr(p.polqual, p.polrelid)),
    ('~check', pg_get_expr(p.polwithcheck, p.polrelid))
) a(attr, value)
where a.value is not null
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_event_trigger g,
lateral pg_identify_object('pg_event_trigger'::regclass, g.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('event', g.evtevent::text),
    ('tags', (select string_agg(t, ', ' order by t) from unnest(g.evttags) t)),
    ('function', g.evtfoid::regprocedure::text),
    ('enabled', case g.evtenabled when 'O' then 'yes' when 'D' then 'no' when 'R' then 'replica'
        else 'always' end)
) a(attr, value)
where a.value is not null
    and not exists (select from member e
        where e.classid = 'pg_event_trigger'::regclass and e.objid = g.oid)
