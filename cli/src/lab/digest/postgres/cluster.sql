-- As catalog.sql, for what all databases of a server share.

-- [memberships]
select format('%s in %s by %s admin %s', member::regrole, roleid::regrole, grantor::regrole, admin_option)
from pg_auth_members where roleid >= 16384 or member >= 16384

-- [databases]
select format('%I owner %s encoding %s collate %s ctype %s version %s provider %s template %s connections %s limit %s acl %s',
    datname, datdba::regrole, pg_encoding_to_char(encoding), datcollate, datctype, datcollversion,
    datlocprovider, datistemplate, datallowconn, datconnlimit,
    (select array_agg(g order by g::text) from unnest(coalesce(datacl, acldefault('d', datdba))) g))
from pg_database

-- [settings]
select format('%s %s %s', d.datname, nullif(s.setrole, 0)::regrole, s.setconfig)
from pg_db_role_setting s left join pg_database d on d.oid = s.setdatabase

-- [tablespaces]
select format('%I owner %s acl %s options %s', spcname, spcowner::regrole,
    (select array_agg(g order by g::text) from unnest(coalesce(spcacl, acldefault('t', spcowner))) g), spcoptions) from pg_tablespace

-- Whom a server would follow as a standby says which node leads now; a primary does not read it.
-- [written settings]
select format('%s = %s', name, setting) from pg_file_settings where sourcefile ~ 'auto\.conf$'
    and name not in ('primary_conninfo', 'primary_slot_name')
