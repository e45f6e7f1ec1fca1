select i.type || ' ' || i.identity, null, a.attr, a.value
from (select c.*, to_jsonb(c) as j from pg_collation c) c
join ns on ns.oid = c.collnamespace,
lateral pg_identify_object('pg_collation'::regclass, c.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('provider', c.collprovider::text),
    ('locale', concat_ws('; ', c.j ->> 'collcollate', c.j ->> 'collctype',
        coalesce(c.j ->> 'colllocale', c.j ->> 'colliculocale'), c.j ->> 'collicurules')),
    ('deterministic', c.j ->> 'collisdeterministic')
) a(attr, value)
where a.value is not null
    and not exists (select from member e
        where e.classid = 'pg_collation'::regclass and e.objid = c.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_conversion c
join ns on ns.oid = c.connamespace,
lateral pg_identify_object('pg_conversion'::regclass, c.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('definition', format('%s to %s by %s, default %s', pg_encoding_to_char(c.conforencoding),
        pg_encoding_to_char(c.contoencoding), c.conproc, c.condefault))
) a(attr, value)
where not exists (select from member e
    where e.classid = 'pg_conversion'::regclass and e.objid = c.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_language l,
lateral pg_identify_object('pg_language'::regclass, l.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('definition', format('trusted %s, %s, %s, %s', l.lanpltrusted,
        nullif(l.lanplcallfoid, 0)::regprocedure, nullif(l.laninline, 0)::regprocedure,
        nullif(l.lanvalidator, 0)::regprocedure))
) a(attr, value)
where l.oid >= 16384
    and not exists (select from member e
        where e.classid = 'pg_language'::regclass and e.objid = l.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_am m,
lateral pg_identify_object('pg_am'::regclass, m.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('definition', format('%s, %s', m.amtype, m.amhandler))
) a(attr, value)
where m.oid >= 16384
    and not exists (select from member e where e.classid = 'pg_am'::regclass and e.objid = m.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_ts_config c
join ns on ns.oid = c.cfgnamespace,
lateral pg_identify_object('pg_ts_config'::regclass, c.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('parser', (select p.prsnamespace::regnamespace::text || '.' || quote_ident(p.prsname)
        from pg_ts_parser p where p.oid = c.cfgparser)),
    ('mapping', (select string_agg(format('%s: %s', t.alias, m.mapdict::regdictionary), ', '
            order by t.alias, m.mapseqno)
        from pg_ts_config_map m, lateral ts_token_type(c.cfgparser) t
        where m.mapcfg = c.oid and t.tokid = m.maptokentype))
) a(attr, value)
where a.value is not null
    and not exists (select from member e
        where e.classid = 'pg_ts_config'::regclass and e.objid = c.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_ts_dict d
join ns on ns.oid = d.dictnamespace
join pg_ts_template t on t.oid = d.dicttemplate,
lateral pg_identify_object('pg_ts_dict'::regclass, d.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('template', t.tmplnamespace::regnamespace::text || '.' || quote_ident(t.tmplname)),
    ('options', d.dictinitoption)
) a(attr, value)
where a.value is not null
    and not exists (select from member e where e.classid = 'pg_ts_dict'::regclass and e.objid = d.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_ts_parser p
join ns on ns.oid = p.prsnamespace,
lateral pg_identify_object('pg_ts_parser'::regclass, p.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('functions', format('%s, %s, %s, %s, %s', p.prsstart, p.prstoken, p.prsend, p.prsheadline,
        p.prslextype))
) a(attr, value)
where not exists (select from member e
    where e.classid = 'pg_ts_parser'::regclass and e.objid = p.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_ts_template t
join ns on ns.oid = t.tmplnamespace,
lateral pg_identify_object('pg_ts_template'::regclass, t.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('functions', format('%s, %s', t.tmplinit, t.tmpllexize))
) a(attr, value)
where not exists (select from member e
    where e.classid = 'pg_ts_template'::regclass and e.objid = t.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from (select s.*, to_jsonb(s) as j from pg_statistic_ext s) s
join ns on ns.oid = s.stxnamespace,
lateral pg_identify_object('pg_statistic_ext'::regclass, s.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('~definition', pg_get_statisticsobjdef(s.oid)),
    ('target', nullif(s.j ->> 'stxstattarget', '-1'))
) a(attr, value)
where a.value is not null
    and not exists (select from member e
        where e.classid = 'pg_statistic_ext'::regclass and e.objid = s.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_extension x,
lateral pg_identify_object('pg_extension'::regclass, x.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('version', x.extversion),
    ('schema', x.extnamespace::regnamespace::text)
) a(attr, value)
union all
select i.type || ' ' || i.identity, null, 'exists', 'yes'
from ns, lateral pg_identify_object('pg_namespace'::regclass, ns.oid, 0) i
where not exists (select from member e
    where e.classid = 'pg_namespace'::regclass and e.objid = ns.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_foreign_data_wrapper f,
lateral pg_identify_object('pg_foreign_data_wrapper'::regclass, f.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('functions', format('%s, %s', nullif(f.fdwhandler, 0)::regproc,
        nullif(f.fdwvalidator, 0)::regproc)),
    ('#options', (select string_agg(o, ', ' order by o) from unnest(f.fdwoptions) o))
) a(attr, value)
where a.value is not null
    and not exists (select from member e
        where e.classid = 'pg_foreign_data_wrapper'::regclass and e.objid = f.oid)
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from pg_foreign_server s
join pg_foreign_data_wrapper f on f.oid = s.srvfdw,
lateral pg_identify_object('pg_foreign_server'::regclass, s.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('wrapper', quote_ident(f.fdwname)),
    ('type', s.srvtype),
    ('version', s.srvversion),
    ('#options', (select string_agg(o, ', ' order by o) from unnest(s.srvoptions) o))
) a(attr, value)
where a.value is not null
    and not exists (select from member e
        where e.classid = 'pg_foreign_server'::regclass and e.objid = s.oid)
union all
select 'user mapping of ' || case when u.umuser = 0 then 'public' else
        chr(1) || u.usename || chr(2) end || ' on server ' || quote_ident(u.srvname),
    null, a.attr, a.value
from pg_user_mappings u, lateral (values
    ('exists', 'yes'),
    ('#options', (select string_agg(o, ', ' order by o) from unnest(u.umoptions) o))
) a(attr, value)
where a.value is not null
union all
select i.type || ' ' || i.identity, null, a.attr, a.value
from (select p.*, to_jsonb(p) as j from pg_publication p) p,
lateral pg_identify_object('pg_publication'::regclass, p.oid, 0) i,
lateral (values
    ('exists', 'yes'),
    ('all tables', p.puballtables::text),
    ('publishes', format('insert %s, update %s, delete %s, truncate %s', p.pubinsert, p.pubupdate,
        p.pubdelete, p.pubtruncate)),
    ('via root', p.j ->> 'pubviaroot'),
    ('generated columns', p.j ->> 'pubgencols')
) a(attr, value)
where a.value is not null
union all
select 'subscription ' || quote_ident(s.subname), null, a.attr, a.value
from (select oid, subname, subdbid, subslotname, subpublications, subsynccommit
      from pg_subscription) s, lateral (values
    ('exists', 'yes'),
    ('slot', s.subslotname::text),
    ('synchronous commit', s.subsynccommit),
    ('publications', (select string_agg(quote_ident(p), ', ' order by p)
        from unnest(s.subpublications) p))
) a(attr, value)
where a.value is not null
    and s.subdbid = (select oid from pg_database where datname = current_database())
