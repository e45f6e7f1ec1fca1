select 'publication ' || quote_ident(p.pubname), null, 'table ' || r.prrelid::regclass::text,
    'published'
from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
