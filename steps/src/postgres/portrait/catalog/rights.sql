-- Owners and rights. Rights that nobody changed are those that such a thing begins with.
, owned as (
    select 'pg_class'::regclass as class, oid, 0 as sub, relowner as owner, relacl as acl,
        case when relkind = 'S' then 's' else 'r' end::"char" as letter
    from pg_class where relkind in ('r', 'p', 'v', 'm', 'f', 'S') and relnamespace in (select oid from ns)
    union all
    select 'pg_attribute'::regclass, a.attrelid, a.attnum, c.relowner, a.attacl, 'c'
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where a.attacl is not null and a.attnum > 0 and not a.attisdropped
        and c.relnamespace in (select oid from ns)
    union all
    select 'pg_proc'::regclass, oid, 0, proowner, proacl, 'f' from pg_proc
    where pronamespace in (select oid from ns)
    union all
    select 'pg_namespace'::regclass, oid, 0, nspowner, nspacl, 'n' from pg_namespace
    where oid in (select oid from ns)
    union all
    select 'pg_type'::regclass, t.oid, 0, typowner, typacl, 'T' from pg_type t
    where typnamespace in (select oid from ns) and typtype <> 'm'
        and (typrelid = 0 or (select relkind from pg_class c where c.oid = typrelid) = 'c')
        and not exists (select from pg_type e where e.typarray = t.oid)
    union all
    select 'pg_language'::regclass, oid, 0, lanowner, lanacl, 'l' from pg_language where lanispl
    union all
    select 'pg_foreign_data_wrapper'::regclass, oid, 0, fdwowner, fdwacl, 'F'
    from pg_foreign_data_wrapper
    union all
    select 'pg_foreign_server'::regclass, oid, 0, srvowner, srvacl, 'S' from pg_foreign_server
    union all
    select 'pg_operator'::regclass, oid, 0, oprowner, null, null from pg_operator
    where oprnamespace in (select oid from ns)
    union all
    select 'pg_opclass'::regclass, oid, 0, opcowner, null, null from pg_opclass
    where opcnamespace in (select oid from ns)
    union all
    select 'pg_opfamily'::regclass, oid, 0, opfowner, null, null from pg_opfamily
    where opfnamespace in (select oid from ns)
    union all
    select 'pg_collation'::regclass, oid, 0, collowner, null, null from pg_collation
    where collnamespace in (select oid from ns)
    union all
    select 'pg_conversion'::regclass, oid, 0, conowner, null, null from pg_conversion
    where connamespace in (select oid from ns)
    union all
    select 'pg_ts_config'::regclass, oid, 0, cfgowner, null, null from pg_ts_config
    where cfgnamespace in (select oid from ns)
    union all
    select 'pg_ts_dict'::regclass, oid, 0, dictowner, null, null from pg_ts_dict
    where dictnamespace in (select oid from ns)
    union all
    select 'pg_statistic_ext'::regclass, oid, 0, stxowner, null, null from pg_statistic_ext
    where stxnamespace in (select oid from ns)
    union all
    select 'pg_event_trigger'::regclass, oid, 0, evtowner, null, null from pg_event_trigger
    union all
    select 'pg_publication'::regclass, oid, 0, pubowner, null, null from pg_publication
)
select i.type || ' ' || i.identity, null, 'owner', chr(1) || pg_get_userbyid(o.owner) || chr(2)
from owned o, lateral pg_identify_object(o.class, o.oid, 0) i
where o.class <> 'pg_attribute'::regclass
    and (o.class <> 'pg_language'::regclass or o.oid >= 16384)
    and not exists (select from member e where e.classid = o.class and e.objid = o.oid)
union all
select case when o.class = 'pg_attribute'::regclass then 'column ' || i.identity
        else i.type || ' ' || i.identity end,
    null, 'privileges',
    (select string_agg(x, ', ' order by x collate "C") from (
        select case when g.grantee = 0 then 'public'
            else chr(1) || pg_get_userbyid(g.grantee) || chr(2) end
            || '=' || g.privilege_type || case when g.is_grantable then '*' else '' end
            || '/' || chr(1) || pg_get_userbyid(g.grantor) || chr(2) as x
        from aclexplode(coalesce(o.acl, acldefault(o.letter, o.owner))) g) y)
from owned o,
lateral pg_identify_object(
    case when o.class = 'pg_attribute'::regclass then 'pg_class'::regclass else o.class end,
    o.oid, o.sub) i
where o.letter is not null
    and (not exists (select from member e where e.objid = o.oid and e.classid =
            case when o.class = 'pg_attribute'::regclass then 'pg_class'::regclass else o.class end)
        -- What an extension made: only where somebody changed its rights since.
        or o.acl is distinct from (select p.initprivs from pg_init_privs p where p.objoid = o.oid
            and p.objsubid = o.sub and p.classoid =
            case when o.class = 'pg_attribute'::regclass then 'pg_class'::regclass else o.class end))
union all
-- Rights on what the server itself brings, where somebody changed them.
select i.type || ' ' || i.identity, null, 'privileges',
    coalesce((select string_agg(x, ', ' order by x collate "C") from (
        select case when g.grantee = 0 then 'public'
            else chr(1) || pg_get_userbyid(g.grantee) || chr(2) end
            || '=' || g.privilege_type || case when g.is_grantable then '*' else '' end as x
        from aclexplode(s.acl) g) y), 'none')
from (
    select 'pg_class'::regclass as class, oid, relacl as acl from pg_class
    where relnamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    union all
    select 'pg_proc'::regclass, oid, proacl from pg_proc
    where pronamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    union all
    select 'pg_namespace'::regclass, oid, nspacl from pg_namespace
    where nspname in ('pg_catalog', 'information_schema')
    union all
    select 'pg_type'::regclass, oid, typacl from pg_type
    where typnamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
) s, lateral pg_identify_object(s.class, s.oid, 0) i
where s.oid < 16384 and s.acl is distinct from
    (select p.initprivs from pg_init_privs p
     where p.objoid = s.oid and p.classoid = s.class and p.objsubid = 0)
union all
select 'default privileges of ' || chr(1) || pg_get_userbyid(d.defaclrole) || chr(2)
        || coalesce(' in schema ' || quote_ident(n.nspname), '')
        || ' for ' || case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences'
            when 'f' then 'functions' when 'T' then 'types' when 'n' then 'schemas'
            else d.defaclobjtype::text end,
    null, 'privileges',
    coalesce((select string_agg(x, ', ' order by x collate "C") from (
        select case when g.grantee = 0 then 'public'
            else chr(1) || pg_get_userbyid(g.grantee) || chr(2) end
            || '=' || g.privilege_type || case when g.is_grantable then '*' else '' end as x
        from aclexplode(d.defaclacl) g) y), 'none')
from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace
