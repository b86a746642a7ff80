-- name: server
-- The server's own settings: a session's are ours, so the defaults of a new one are asked for.
SELECT split_part(current_setting('server_version'), ' ', 1) AS version,
       current_setting('server_version_num')::int / 10000 AS major,
       pg_is_in_recovery() AS standby,
       current_setting('fsync') AS fsync,
       (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit') AS synchronous_commit;

-- name: backlog
-- What waits to be published, and what nobody could read.
SELECT (SELECT count(*) FROM publications) AS publications, (SELECT count(*) FROM quarantine) AS quarantined;
