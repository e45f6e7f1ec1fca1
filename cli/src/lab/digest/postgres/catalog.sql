-- One query a section, each giving lines of text; sorted by whoever reads them. A name in brackets
-- begins a section. `search_path` is empty, so every name is qualified. No grants at all and the
-- default ones written out are the same.

-- [schemas]
select format('%I owner %I acl %s', nspname, nspowner::regrole::text,
    (select array_agg(g order by g::text) from unnest(coalesce(nspacl, acldefault('n', nspowner))) g))
from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'

-- [extensions]
select format('%I %s in %s', extname, extversion, extnamespace::regnamespace)
from pg_extension

-- [relations]
select format('%s %s owner %s persistence %s acl %s options %s rls %s/%s replica %s populated %s tablespace %s am %s',
    c.relkind, c.oid::regclass, c.relowner::regrole, c.relpersistence,
    (select array_agg(g order by g::text) from unnest(coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's'::"char" else 'r' end, c.relowner))) g), c.reloptions,
    c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relispopulated,
    (select spcname from pg_tablespace s where s.oid = c.reltablespace),
    (select amname from pg_am a where a.oid = c.relam))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- [columns]
select format('%s %s %I %s not null %s default %s identity %s generated %s collation %s storage %s compression %s statistics %s acl %s options %s',
    a.attrelid::regclass,
    row_number() over (partition by a.attrelid order by a.attnum),
    a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated,
    nullif(a.attcollation, 0)::regcollation, a.attstorage, a.attcompression, a.attstattarget,
    a.attacl, a.attoptions)
from pg_attribute a join pg_class c on c.oid = a.attrelid
    join pg_namespace n on n.oid = c.relnamespace
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c')
    and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- [constraints]
select format('%s %I %s validated %s', coalesce(nullif(conrelid, 0)::regclass::text, contypid::regtype::text),
    conname, pg_get_constraintdef(c.oid), convalidated)
from pg_constraint c join pg_namespace n on n.oid = c.connamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- [indexes]
select format('%s valid %s ready %s clustered %s replica %s', pg_get_indexdef(indexrelid), indisvalid,
    indisready, indisclustered, indisreplident)
from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- [triggers]
select format('%s enabled %s', pg_get_triggerdef(t.oid), tgenabled)
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
where not tgisinternal and n.nspname !~ '^pg_'

-- [views]
select format('%s %s', c.oid::regclass, pg_get_viewdef(c.oid))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('v', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- [rules]
select format('%s enabled %s', pg_get_ruledef(r.oid), ev_enabled)
from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
where rulename <> '_RETURN' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- [functions]
select format('%s owner %s acl %s %s', p.oid::regprocedure, proowner::regrole,
    (select array_agg(g order by g::text) from unnest(coalesce(proacl, acldefault('f', proowner))) g),
    case when prokind in ('f', 'p', 'w') then pg_get_functiondef(p.oid) end)
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'

-- [types]
select format('%s %s owner %s acl %s labels %s base %s not null %s default %s', t.oid::regtype, t.typtype,
    t.typowner::regrole,
    (select array_agg(g order by g::text) from unnest(coalesce(t.typacl, acldefault('T', t.typowner))) g),
    (select array_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid),
    nullif(t.typbasetype, 0)::regtype, t.typnotnull, t.typdefault)
from pg_type t join pg_namespace n on n.oid = t.typnamespace
where t.typtype in ('e', 'd', 'r', 'm', 'c') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and not exists (select from pg_class c where c.oid = t.typrelid and c.relkind <> 'c')

-- [sequences]
select format('%s %s start %s by %s min %s max %s cache %s cycle %s owned by %s', s.seqrelid::regclass,
    s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle,
    (select format('%s %s', d.refobjid::regclass, d.refobjsubid) from pg_depend d
     where d.classid = 'pg_class'::regclass and d.objid = s.seqrelid
        and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')))
from pg_sequence s

-- [policies]
select format('%s %I %s %s %s %s %s', polrelid::regclass, polname, polcmd, polpermissive,
    (select array_agg(r::regrole order by r::regrole::text) from unnest(polroles) r),
    pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
from pg_policy

-- [default privileges]
select format('%s %s %s %s', defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl)
from pg_default_acl

-- [statistics]
select format('%s owner %s', pg_get_statisticsobjdef(oid), stxowner::regrole) from pg_statistic_ext

-- [operators and casts]
select pg_identify_object(classid, objid, 0)::text
from (
    select 'pg_operator'::regclass, oid from pg_operator where oid >= 16384
    union all select 'pg_cast'::regclass, oid from pg_cast where oid >= 16384
    union all select 'pg_collation'::regclass, oid from pg_collation where oid >= 16384
    union all select 'pg_opclass'::regclass, oid from pg_opclass where oid >= 16384
    union all select 'pg_event_trigger'::regclass, oid from pg_event_trigger
    union all select 'pg_publication'::regclass, oid from pg_publication
    union all select 'pg_foreign_server'::regclass, oid from pg_foreign_server
) as listed(classid, objid)

-- [comments]
select format('%s %s', pg_identify_object(classoid, objoid, objsubid), description)
from pg_description where objoid >= 16384

-- [labels]
select format('%s %s %s', pg_identify_object(classoid, objoid, objsubid), provider, label) from pg_seclabel

-- [large objects]
select format('%s owner %s acl %s pages %s', m.oid, m.lomowner::regrole,
    (select array_agg(g order by g::text) from unnest(coalesce(m.lomacl, acldefault('L', m.lomowner))) g),
    (select md5(string_agg(format('%s:%s', pageno, md5(data)), ',' order by pageno)) from pg_largeobject l
     where l.loid = m.oid))
from pg_largeobject_metadata m
