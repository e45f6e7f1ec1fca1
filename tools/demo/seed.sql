-- A small shop: every kind of thing that a move can damage.
create schema store authorization shop;
set role shop;

create type store.state as enum ('open', 'paid', 'sent');

create table store.customers (
    id bigserial primary key,
    name text not null,
    mail text unique,
    since timestamptz not null,
    born date,
    picture bytea,
    note text
);
create table store.orders (
    id bigint generated always as identity primary key,
    customer bigint not null references store.customers (id),
    state store.state not null,
    total numeric(12, 2) not null,
    weight double precision,
    tags text[] not null default '{}',
    detail jsonb,
    placed timestamptz not null,
    check (total >= 0)
);
-- What the app writes: a number that it was told to be safe.
create table store.pulse (
    id bigserial primary key,
    n bigint not null,
    at timestamptz not null default now()
);

insert into store.customers (name, mail, since, born, picture, note)
select
    (array['Zoë Ångström', 'Łukasz Żółć', 'Ελένη', '山田太郎', 'O''Brien "Bob"', E'tab\there'])[1 + i % 6] || ' ' || i,
    case when i % 7 <> 0 then 'c' || i || '@example.org' end,
    timestamptz '2019-03-31 01:59:59.123456+01' + i * interval '1 hour 7 minutes',
    case when i % 3 <> 0 then date '1950-01-01' + i % 20000 end,
    case when i % 5 = 0 then decode(md5(i::text) || '00ff5c27', 'hex') end,
    case i % 4 when 0 then null when 1 then '' when 2 then E'two\nlines' else 'NULL' end
from generate_series(1, greatest(:rows / 20, 10)) as i;

insert into store.orders (customer, state, total, weight, tags, detail, placed)
select
    1 + i % greatest(:rows / 20, 10),
    (array['open', 'paid', 'sent'])[1 + i % 3]::store.state,
    (i * 7919 % 100000) / 100.0,
    case when i % 11 = 0 then 'NaN' when i % 13 = 0 then null else sqrt(i) end,
    case when i % 4 = 0 then array['naïve', 'q"uote', ''] else '{}' end,
    case when i % 9 <> 0 then jsonb_build_object('n', i, 'h', md5(i::text)) end,
    timestamptz '2024-10-27 02:30:00+02' + i * interval '37 seconds'
from generate_series(1, :rows) as i;

create index orders_by_customer on store.orders (customer, placed desc);
create index orders_by_detail on store.orders (md5(detail::text));
create view store.open_orders as select * from store.orders where state = 'open';
comment on table store.orders is 'One row an order; größer als gedacht';

-- Sequences that are not where the largest id would put them.
select setval('store.customers_id_seq', 1000000);
select nextval('store.pulse_id_seq');

select lo_from_bytea(424242, decode(repeat('00ff5c27', 50000), 'hex'));
reset role;
alter large object 424242 owner to shop;
grant select on large object 424242 to auditor;
