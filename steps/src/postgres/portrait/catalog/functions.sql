select i.type || ' ' || i.identity, null, a.attr, a.value
from (select p.*, to_jsonb(p) as j from pg_proc p) p
join ns on ns.oid = p.pronamespace
join pg_language l on l.oid = p.prolang
left join pg_aggregate g on g.aggfnoid = p.oid,
lateral pg_identify_object('pg_proc'::regclass, p.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('language', l.lanname::text),
    ('window', case when p.prokind = 'w' then 'yes' end),
    ('~arguments', pg_get_function_arguments(p.oid)),
    ('result', pg_get_function_result(p.oid)),
    ('volatility', case p.provolatile when 'i' then 'immutable' when 's' then 'stable'
        else 'volatile' end),
    ('strict', case when p.proisstrict then 'yes' end),
    ('security', case when p.prosecdef then 'definer' else 'invoker' end),
    ('leakproof', case when p.proleakproof then 'yes' end),
    ('parallel', case p.proparallel when 's' then 'safe' when 'r' then 'restricted'
        else 'unsafe' end),
    ('cost', p.procost::text),
    ('rows', nullif(p.prorows, 0)::text),
    ('settings', (select string_agg(s, ', ' order by s) from unnest(p.proconfig) s)),
    ('support', nullif(p.prosupport, 0)::text),
    ('transforms', (select string_agg(t::regtype::text, ', ' order by o)
        from unnest(p.protrftypes) with ordinality u(t, o))),
    ('library', p.probin),
    -- A body of the SQL standard is kept parsed; then the text is empty.
    ('body', case when p.prokind <> 'a' then p.prosrc end)
) a(attr, value)
where a.value is not null
    and not exists (select from member e where e.classid = 'pg_proc'::regclass and e.objid = p.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_aggregate g
join pg_proc p on p.oid = g.aggfnoid
join ns on ns.oid = p.pronamespace,
lateral pg_identify_object('pg_proc'::regclass, p.oid, 0) i,
lateral (values
    ('aggregate kind', g.aggkind::text),
    ('direct arguments', g.aggnumdirectargs::text),
    ('functions', format('%s, %s, %s, %s, %s; moving %s, %s, %s',
        g.aggtransfn::regproc, g.aggfinalfn::regproc, g.aggcombinefn::regproc,
        g.aggserialfn::regproc, g.aggdeserialfn::regproc, g.aggmtransfn::regproc,
        g.aggminvtransfn::regproc, g.aggmfinalfn::regproc)),
    ('final', format('%s %s, moving %s %s', g.aggfinalextra, g.aggfinalmodify,
        g.aggmfinalextra, g.aggmfinalmodify)),
    ('sort operator', (select format('%s.%s', n.nspname, o.oprname) from pg_operator o
        join pg_namespace n on n.oid = o.oprnamespace where o.oid = g.aggsortop)),
    ('states', format('%s %s, moving %s %s', g.aggtranstype::regtype, g.aggtransspace,
        nullif(g.aggmtranstype, 0)::regtype, g.aggmtransspace)),
    ('initial', g.agginitval),
    ('moving initial', g.aggminitval)
) a(attr, value)
where a.value is not null
    and not exists (select from member e where e.classid = 'pg_proc'::regclass and e.objid = p.oid)
