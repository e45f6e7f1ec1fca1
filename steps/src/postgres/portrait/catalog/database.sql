-- The database itself, without its own name.
select 'database', null, a.attr, a.value
from (select d.*, to_jsonb(d) as j from pg_database d where datname = current_database()) d,
lateral (values
    ('encoding', pg_encoding_to_char(d.encoding)::text),
    ('collation', d.datcollate::text),
    ('character type', d.datctype::text),
    ('locale provider', coalesce(d.j ->> 'datlocprovider', 'c')),
    ('locale', coalesce(d.j ->> 'datlocale', d.j ->> 'daticulocale')),
    ('locale rules', d.j ->> 'daticurules'),
    ('owner', chr(1) || pg_get_userbyid(d.datdba) || chr(2)),
    ('connections', d.datconnlimit::text),
    ('allows connections', d.datallowconn::text),
    ('template', d.datistemplate::text),
    ('comment', shobj_description(d.oid, 'pg_database')),
    ('privileges', (select string_agg(x, ', ' order by x collate "C") from (
        select case when g.grantee = 0 then 'public'
            else chr(1) || pg_get_userbyid(g.grantee) || chr(2) end
            || '=' || g.privilege_type || case when g.is_grantable then '*' else '' end
            || '/' || chr(1) || pg_get_userbyid(g.grantor) || chr(2) as x
        from aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) g) y))
) a(attr, value)
where a.value is not null
union all
select 'database', null,
    'settings' || coalesce(' of ' || chr(1) || o.rolname || chr(2), ''),
    (select string_agg(c, ', ' order by c) from unnest(s.setconfig) c)
from pg_db_role_setting s
join pg_database d on d.oid = s.setdatabase and d.datname = current_database()
left join pg_roles o on o.oid = s.setrole
union all
select 'database', null, 'security label of ' || quote_ident(l.provider), l.label
from pg_shseclabel l join pg_database d on d.oid = l.objoid and d.datname = current_database()
where l.classoid = 'pg_database'::regclass
