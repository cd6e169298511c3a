-- Signed statements about stretches of the audit trail, each chained to the one before.

create table seal (number integer primary key, state text not null);
