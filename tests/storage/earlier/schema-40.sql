BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'relay','accounts','2026-11-30 22:11:15.887838+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'relay','conversations','2026-11-30 22:11:15.888863+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'relay','living','2026-11-30 22:11:15.890721+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'relay','attachments','2026-11-30 22:11:15.891453+00:00');
INSERT INTO "_sqlite_migrations" VALUES(5,'relay','plugins','2026-11-30 22:11:15.891889+00:00');
INSERT INTO "_sqlite_migrations" VALUES(6,'relay','invited_admins','2026-11-30 22:11:15.892639+00:00');
INSERT INTO "_sqlite_migrations" VALUES(7,'relay','groups_chosen','2026-11-30 22:11:15.893568+00:00');
INSERT INTO "_sqlite_migrations" VALUES(8,'relay','erasures','2026-11-30 22:11:15.894015+00:00');
INSERT INTO "_sqlite_migrations" VALUES(9,'relay','stays','2026-11-30 22:11:15.895080+00:00');
INSERT INTO "_sqlite_migrations" VALUES(10,'relay','answers_depths','2026-11-30 22:11:15.895681+00:00');
INSERT INTO "_sqlite_migrations" VALUES(11,'relay','folded_names','2026-11-30 22:11:15.896282+00:00');
INSERT INTO "_sqlite_migrations" VALUES(12,'relay','login_places','2026-11-30 22:11:15.900827+00:00');
INSERT INTO "_sqlite_migrations" VALUES(13,'relay','names_regardless_of_case','2026-11-30 22:11:15.901300+00:00');
INSERT INTO "_sqlite_migrations" VALUES(14,'relay','who_spoke','2026-11-30 22:11:15.902190+00:00');
INSERT INTO "_sqlite_migrations" VALUES(15,'relay','scheduled_jobs','2026-11-30 22:11:15.902648+00:00');
INSERT INTO "_sqlite_migrations" VALUES(16,'relay','pictures','2026-11-30 22:11:15.903791+00:00');
INSERT INTO "_sqlite_migrations" VALUES(17,'relay','pictures_sizes','2026-11-30 22:11:15.904838+00:00');
INSERT INTO "_sqlite_migrations" VALUES(18,'relay','files_of_conversations','2026-11-30 22:11:15.905611+00:00');
INSERT INTO "_sqlite_migrations" VALUES(19,'relay','threads','2026-11-30 22:11:15.908829+00:00');
INSERT INTO "_sqlite_migrations" VALUES(20,'relay','public_groups','2026-11-30 22:11:15.910148+00:00');
INSERT INTO "_sqlite_migrations" VALUES(21,'relay','server_roles','2026-11-30 22:11:15.917665+00:00');
INSERT INTO "_sqlite_migrations" VALUES(22,'relay','audit_log','2026-11-30 22:11:15.920609+00:00');
INSERT INTO "_sqlite_migrations" VALUES(23,'relay','figures','2026-11-30 22:11:15.923162+00:00');
INSERT INTO "_sqlite_migrations" VALUES(24,'relay','invitations','2026-11-30 22:11:15.925822+00:00');
INSERT INTO "_sqlite_migrations" VALUES(25,'relay','second_factors','2026-11-30 22:11:15.928810+00:00');
INSERT INTO "_sqlite_migrations" VALUES(26,'relay','mail','2026-11-30 22:11:15.929507+00:00');
INSERT INTO "_sqlite_migrations" VALUES(27,'relay','rights_of_groups','2026-11-30 22:11:15.930743+00:00');
INSERT INTO "_sqlite_migrations" VALUES(28,'relay','restrictions','2026-11-30 22:11:15.931214+00:00');
INSERT INTO "_sqlite_migrations" VALUES(29,'relay','removed_messages','2026-11-30 22:11:15.932031+00:00');
INSERT INTO "_sqlite_migrations" VALUES(30,'relay','reports','2026-11-30 22:11:15.932629+00:00');
INSERT INTO "_sqlite_migrations" VALUES(31,'relay','blocks','2026-11-30 22:11:15.933076+00:00');
INSERT INTO "_sqlite_migrations" VALUES(32,'relay','slow_mode','2026-11-30 22:11:15.934360+00:00');
INSERT INTO "_sqlite_migrations" VALUES(33,'relay','token_uses','2026-11-30 22:11:15.935347+00:00');
INSERT INTO "_sqlite_migrations" VALUES(34,'relay','sample_parts','2026-11-30 22:11:15.935784+00:00');
INSERT INTO "_sqlite_migrations" VALUES(35,'relay','positions_kept','2026-11-30 22:11:15.936177+00:00');
INSERT INTO "_sqlite_migrations" VALUES(36,'relay','unreleased_builds','2026-11-30 22:11:15.936723+00:00');
INSERT INTO "_sqlite_migrations" VALUES(37,'relay','backups','2026-11-30 22:11:15.937074+00:00');
INSERT INTO "_sqlite_migrations" VALUES(38,'relay','imports','2026-11-30 22:11:15.937701+00:00');
INSERT INTO "_sqlite_migrations" VALUES(39,'relay','deleted_accounts','2026-11-30 22:11:15.938690+00:00');
INSERT INTO "_sqlite_migrations" VALUES(40,'relay','imported_users','2026-11-30 22:11:15.940747+00:00');
CREATE TABLE account_links (
            code_hash BLOB PRIMARY KEY, user_id TEXT NOT NULL, purpose TEXT NOT NULL, address TEXT,
            created_at REAL NOT NULL, expires_at REAL NOT NULL
        ) WITHOUT ROWID;
CREATE TABLE attachments (
            attachment_id TEXT PRIMARY KEY, blob_id INTEGER NOT NULL, user_id TEXT NOT NULL, name TEXT NOT NULL,
            type TEXT NOT NULL, size INTEGER NOT NULL, created_at REAL NOT NULL, held INTEGER NOT NULL DEFAULT 0
        , width INTEGER, height INTEGER) WITHOUT ROWID;
CREATE TABLE audit_entries (
            message_id INTEGER PRIMARY KEY, act TEXT NOT NULL, by TEXT, kind TEXT, about TEXT, at REAL NOT NULL
        );
CREATE TABLE backups (backup_id INTEGER PRIMARY KEY, at REAL NOT NULL, seconds REAL NOT NULL, way TEXT NOT NULL, file TEXT NOT NULL, bytes INTEGER, messages INTEGER, problem TEXT);
CREATE TABLE barred (
            channel_id INTEGER NOT NULL,
            user_id TEXT NOT NULL,
            PRIMARY KEY (channel_id, user_id)
        ) WITHOUT ROWID;
CREATE TABLE blobs (
            blob_id INTEGER PRIMARY KEY, sha256 BLOB UNIQUE, size INTEGER NOT NULL DEFAULT 0,
            created_at REAL NOT NULL
        );
CREATE TABLE blocks (
            user_id TEXT NOT NULL, blocked_id TEXT NOT NULL, made_at REAL NOT NULL,
            PRIMARY KEY (user_id, blocked_id)
        ) WITHOUT ROWID;
CREATE TABLE channels (
            channel_id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
            floor_seq INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL
        );
INSERT INTO "channels" VALUES(1,'*','broadcast',0,1796076675.0);
INSERT INTO "channels" VALUES(2,'self:*','self',0,1796076675.0);
INSERT INTO "channels" VALUES(90,'user:alice:bob','user',0,1700000000.0);
CREATE TABLE chunks (chunk_id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE devices (
            user_id TEXT NOT NULL, client_id TEXT NOT NULL, session_id TEXT NOT NULL UNIQUE,
            token_id TEXT, acked INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL,
            seen_at REAL NOT NULL, revoked_at REAL, agent TEXT NOT NULL DEFAULT '', PRIMARY KEY (user_id, client_id)
        ) WITHOUT ROWID;
CREATE TABLE erasures (
            user_id TEXT PRIMARY KEY, asked_at REAL NOT NULL, reached INTEGER NOT NULL DEFAULT 0,
            erased INTEGER NOT NULL DEFAULT 0, kept INTEGER NOT NULL DEFAULT 0,
            files_kept INTEGER NOT NULL DEFAULT 0, done_at REAL
        ) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
INSERT INTO "facts" VALUES('created_at',1.79607667588779377934e+09);
INSERT INTO "facts" VALUES('epoch','0c6910f85d431a35');
INSERT INTO "facts" VALUES('high_water',1000);
CREATE TABLE figures (
            step INTEGER NOT NULL, at INTEGER NOT NULL, figures BLOB NOT NULL, PRIMARY KEY (step, at)
        ) WITHOUT ROWID;
CREATE TABLE following (
            user_id TEXT NOT NULL, followed_id TEXT NOT NULL, since REAL NOT NULL,
            PRIMARY KEY (user_id, followed_id)
        ) WITHOUT ROWID;
CREATE TABLE groups (
            group_id TEXT PRIMARY KEY, channel_id INTEGER NOT NULL UNIQUE, name TEXT NOT NULL,
            history TEXT NOT NULL, created_at REAL NOT NULL, deleted_at REAL
        , made_by TEXT NOT NULL DEFAULT '', description TEXT NOT NULL DEFAULT '', public INTEGER NOT NULL DEFAULT 0, sought TEXT NOT NULL DEFAULT '', rights TEXT NOT NULL DEFAULT '{}', closed_at REAL, slow_mode_seconds INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE holds (
            attachment_id TEXT NOT NULL, message_id INTEGER NOT NULL, channel_id INTEGER, PRIMARY KEY (attachment_id, message_id)
        ) WITHOUT ROWID;
CREATE TABLE imported (
            import_id INTEGER NOT NULL, old_id TEXT NOT NULL, message_id INTEGER NOT NULL,
            channel_id INTEGER NOT NULL, old_seq INTEGER, PRIMARY KEY (import_id, old_id)
        ) WITHOUT ROWID;
CREATE TABLE imported_files (
            import_id INTEGER NOT NULL, old_id TEXT NOT NULL, user_id TEXT NOT NULL, blob_id INTEGER,
            begun_at REAL NOT NULL, created_at REAL NOT NULL, record BLOB, attachment_id TEXT,
            PRIMARY KEY (import_id, old_id)
        ) WITHOUT ROWID;
CREATE TABLE imported_users (import_id INTEGER NOT NULL, user_id TEXT NOT NULL, PRIMARY KEY (import_id, user_id)) WITHOUT ROWID;
CREATE TABLE imports (
            import_id INTEGER PRIMARY KEY, source TEXT NOT NULL UNIQUE, reading TEXT NOT NULL,
            begun_at REAL NOT NULL
        );
CREATE TABLE invite_joins (
            user_id TEXT NOT NULL, group_id TEXT NOT NULL, invited_by TEXT,
            PRIMARY KEY (user_id, group_id)
        ) WITHOUT ROWID;
CREATE TABLE invite_uses (
            code_hash BLOB NOT NULL, user_id TEXT NOT NULL, used_at REAL NOT NULL,
            PRIMARY KEY (code_hash, user_id)
        ) WITHOUT ROWID;
CREATE TABLE invites (
            code_hash BLOB PRIMARY KEY, created_by TEXT, created_at REAL NOT NULL,
            expires_at REAL, uses_left INTEGER NOT NULL
        , role TEXT NOT NULL DEFAULT 'user', label TEXT NOT NULL DEFAULT '', group_ids TEXT NOT NULL DEFAULT '', mail TEXT, revoked_at REAL) WITHOUT ROWID;
CREATE TABLE latest (
            message_id INTEGER PRIMARY KEY, channel_id INTEGER NOT NULL, type TEXT NOT NULL,
            sender_id TEXT NOT NULL, key TEXT NOT NULL, target_id TEXT NOT NULL, client_id TEXT,
            own_id TEXT, digest BLOB, payload TEXT NOT NULL, timestamp REAL NOT NULL, sent_at REAL,
            only_for TEXT, about INTEGER,
            UNIQUE (channel_id, type, sender_id, key)
        );
CREATE TABLE log (
            message_id INTEGER PRIMARY KEY, channel_id INTEGER NOT NULL, seq INTEGER NOT NULL,
            type TEXT NOT NULL, sender_id TEXT NOT NULL, target_id TEXT NOT NULL, client_id TEXT,
            own_id TEXT, digest BLOB, payload TEXT, timestamp REAL NOT NULL, sent_at REAL,
            edited_at REAL, deleted_at REAL
        , expires_at REAL, replaces INTEGER, edit_id INTEGER, depth INTEGER, removed_by TEXT);
INSERT INTO "log" VALUES(900,90,1,'chat_message','alice','bob',NULL,'first',NULL,'{"content": "kept since then"}',1700000000.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE login_places (
            user_id TEXT NOT NULL, place BLOB NOT NULL, seen_at REAL NOT NULL, PRIMARY KEY (user_id, place)
        ) WITHOUT ROWID;
CREATE TABLE mail_addresses (
            user_id TEXT PRIMARY KEY, address TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, verified_at REAL NOT NULL
        ) WITHOUT ROWID;
CREATE TABLE mails (
            mail_id INTEGER PRIMARY KEY, user_id TEXT, recipient TEXT NOT NULL, subject TEXT NOT NULL,
            body TEXT NOT NULL, created_at REAL NOT NULL, due_at REAL NOT NULL, expires_at REAL NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0, last_error TEXT
        );
CREATE TABLE members (
            channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, role TEXT NOT NULL,
            visible_from INTEGER NOT NULL DEFAULT 1, visible_until INTEGER,
            joined_at REAL NOT NULL, seen_before INTEGER, PRIMARY KEY (channel_id, user_id)
        ) WITHOUT ROWID;
INSERT INTO "members" VALUES(90,'alice','member',1,NULL,1700000000.0,NULL);
INSERT INTO "members" VALUES(90,'bob','member',1,NULL,1700000000.0,NULL);
CREATE TABLE mentions (
            channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, seq INTEGER NOT NULL,
            PRIMARY KEY (channel_id, user_id, seq)
        ) WITHOUT ROWID;
CREATE TABLE names (name TEXT PRIMARY KEY, kind TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "names" VALUES('alice','user');
INSERT INTO "names" VALUES('bob','user');
CREATE TABLE newest (
            channel_id INTEGER NOT NULL, type TEXT NOT NULL, sender_id TEXT NOT NULL, key TEXT NOT NULL,
            message_id INTEGER NOT NULL, about INTEGER, PRIMARY KEY (channel_id, type, sender_id, key)
        ) WITHOUT ROWID;
CREATE TABLE pictures (name TEXT PRIMARY KEY, attachment_id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE plugin_migrations (
            plugin TEXT NOT NULL, name TEXT NOT NULL, applied_at REAL NOT NULL, PRIMARY KEY (plugin, name)
        ) WITHOUT ROWID;
CREATE TABLE pointers (
            channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, read_seq INTEGER NOT NULL DEFAULT 0,
            shown_seq INTEGER NOT NULL DEFAULT 0, spoke INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (channel_id, user_id)
        ) WITHOUT ROWID;
CREATE TABLE presence (
            user_id TEXT PRIMARY KEY, status TEXT, text TEXT, until REAL, last_seen REAL,
            present INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID;
CREATE TABLE recovery_codes (
            user_id TEXT NOT NULL, code_hash BLOB NOT NULL, PRIMARY KEY (user_id, code_hash)
        ) WITHOUT ROWID;
CREATE TABLE reporters (
            message_id INTEGER NOT NULL, user_id TEXT NOT NULL, reason TEXT NOT NULL, text TEXT NOT NULL,
            at REAL NOT NULL, tell INTEGER NOT NULL, PRIMARY KEY (message_id, user_id)
        ) WITHOUT ROWID;
CREATE TABLE reports (
            message_id INTEGER PRIMARY KEY, report_id INTEGER NOT NULL UNIQUE, author TEXT NOT NULL,
            state TEXT NOT NULL DEFAULT 'open', closed_by TEXT, closed_at REAL, note TEXT NOT NULL DEFAULT ''
        );
CREATE TABLE restrictions (
            channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL,
            by_user TEXT, made_at REAL NOT NULL, until REAL, PRIMARY KEY (channel_id, user_id, kind)
        ) WITHOUT ROWID;
CREATE TABLE sample_parts (kind TEXT, name TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE scheduled_jobs (
            plugin TEXT NOT NULL, schedule TEXT NOT NULL, key TEXT NOT NULL, rule TEXT NOT NULL DEFAULT '',
            due_at REAL NOT NULL, try_at REAL NOT NULL, run_id TEXT NOT NULL, data TEXT NOT NULL DEFAULT '{}',
            attempts INTEGER NOT NULL DEFAULT 0, began_at REAL, last_at REAL, last_error TEXT,
            PRIMARY KEY (plugin, schedule, key)
        ) WITHOUT ROWID;
CREATE TABLE second_factors (
            user_id TEXT PRIMARY KEY, secret BLOB NOT NULL, made_at REAL NOT NULL, confirmed_at REAL,
            last_step INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID;
CREATE TABLE slow_mode_writes (channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, at REAL NOT NULL, own_id TEXT, PRIMARY KEY (channel_id, user_id)) WITHOUT ROWID;
CREATE TABLE stays (
            channel_id INTEGER NOT NULL, user_id TEXT NOT NULL, visible_from INTEGER NOT NULL,
            visible_until INTEGER NOT NULL, PRIMARY KEY (channel_id, user_id, visible_from)
        ) WITHOUT ROWID;
CREATE TABLE thread_members (
            user_id TEXT NOT NULL, root_id INTEGER NOT NULL, channel_id INTEGER NOT NULL,
            follows INTEGER NOT NULL, read_seq INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (user_id, root_id)
        ) WITHOUT ROWID;
CREATE TABLE thread_replies (
            root_id INTEGER NOT NULL, seq INTEGER NOT NULL, message_id INTEGER NOT NULL UNIQUE,
            channel_id INTEGER NOT NULL, sender_id TEXT NOT NULL, shown INTEGER NOT NULL,
            PRIMARY KEY (root_id, seq)
        ) WITHOUT ROWID;
CREATE TABLE tokens (
            token_hash BLOB PRIMARY KEY, token_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL,
            origin TEXT NOT NULL, label TEXT NOT NULL, scopes TEXT NOT NULL, client_id TEXT,
            created_at REAL NOT NULL, expires_at REAL
        , used_at REAL) WITHOUT ROWID;
CREATE TABLE users (
            user_id TEXT PRIMARY KEY, display_name TEXT NOT NULL, disabled INTEGER NOT NULL DEFAULT 0, password_hash TEXT, created_at REAL NOT NULL,
            delivered INTEGER NOT NULL DEFAULT 0
        , receipts INTEGER NOT NULL DEFAULT 1, presence_to TEXT NOT NULL DEFAULT 'everyone', groups_from TEXT NOT NULL DEFAULT 'everyone', sought TEXT NOT NULL DEFAULT '', role TEXT NOT NULL DEFAULT 'member', deleted_at REAL) WITHOUT ROWID;
INSERT INTO "users" VALUES('alice','Alice',0,NULL,1700000000.0,0,1,'everyone','everyone','','owner',NULL);
INSERT INTO "users" VALUES('bob','Bob',0,NULL,1700000000.0,0,1,'everyone','everyone','','member',NULL);
CREATE TABLE versions (
            message_id INTEGER NOT NULL, until_seq INTEGER NOT NULL, channel_id INTEGER NOT NULL,
            payload TEXT NOT NULL, edited_at REAL, edit_id INTEGER, PRIMARY KEY (message_id, until_seq)
        ) WITHOUT ROWID;
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX tokens_by_user ON tokens(user_id);
CREATE INDEX followers ON following(followed_id);
CREATE INDEX members_by_user ON members(user_id);
CREATE UNIQUE INDEX log_by_seq ON log(channel_id, seq);
CREATE UNIQUE INDEX log_by_own_id ON log(sender_id, own_id) WHERE own_id IS NOT NULL;
CREATE UNIQUE INDEX latest_by_own_id ON latest(sender_id, own_id) WHERE own_id IS NOT NULL;
CREATE INDEX log_by_expiry ON log(expires_at) WHERE expires_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX latest_by_about ON latest(about) WHERE about IS NOT NULL;
CREATE INDEX newest_by_about ON newest(about) WHERE about IS NOT NULL;
CREATE INDEX attachments_by_blob ON attachments(blob_id);
CREATE INDEX attachments_by_user ON attachments(user_id);
CREATE INDEX holds_by_message ON holds(message_id);
CREATE INDEX groups_by_maker ON groups(made_by);
CREATE INDEX versions_by_channel ON versions(channel_id);
CREATE INDEX names_by_letters ON names(name COLLATE NOCASE);
CREATE INDEX scheduled_jobs_by_time ON scheduled_jobs(plugin, try_at);
CREATE INDEX pictures_by_file ON pictures(attachment_id);
CREATE INDEX attachments_unmeasured ON attachments(attachment_id) WHERE width IS NULL;
CREATE INDEX holds_by_channel ON holds(channel_id, message_id);
CREATE INDEX thread_replies_by_channel ON thread_replies(channel_id, seq);
CREATE INDEX public_groups ON groups(group_id) WHERE public = 1;
CREATE INDEX users_by_role ON users(role) WHERE role <> 'member';
CREATE INDEX audit_by_act ON audit_entries(act, message_id);
CREATE INDEX audit_by_who ON audit_entries(by, message_id);
CREATE INDEX audit_by_what ON audit_entries(about, message_id);
CREATE INDEX audit_by_time ON audit_entries(at);
CREATE INDEX account_links_by_user ON account_links(user_id);
CREATE INDEX mails_by_time ON mails(due_at);
CREATE INDEX restrictions_by_user ON restrictions(user_id);
CREATE INDEX reports_by_state ON reports(state, report_id);
CREATE INDEX reports_by_author ON reports(author);
CREATE TRIGGER latest_deleted AFTER DELETE ON latest BEGIN UPDATE facts SET value = old.message_id WHERE name = 'high_water' AND value < old.message_id; END;
CREATE INDEX imported_by_seq ON imported(import_id, channel_id, old_seq) WHERE old_seq IS NOT NULL;
CREATE INDEX imported_blobs ON imported_files(blob_id) WHERE blob_id IS NOT NULL;
CREATE INDEX imported_by_message ON imported(message_id);
CREATE INDEX users_deleted ON users(deleted_at) WHERE deleted_at IS NOT NULL;
CREATE VIEW v1_users AS SELECT u.user_id, u.display_name AS name, u.role, CASE WHEN e.user_id IS NOT NULL THEN 'erased' WHEN u.deleted_at IS NOT NULL THEN 'deleted' WHEN u.disabled & 2 THEN 'banned' WHEN u.disabled THEN 'disabled' ELSE 'active' END AS state, strftime('%Y-%m-%dT%H:%M:%fZ', u.created_at, 'unixepoch') AS created_at, strftime('%Y-%m-%dT%H:%M:%fZ', p.last_seen, 'unixepoch') AS last_seen_at FROM users u LEFT JOIN erasures e USING (user_id) LEFT JOIN presence p USING (user_id);
CREATE VIEW v1_groups AS SELECT g.group_id, 'group:' || g.group_id AS conversation, g.name, g.description, g.public, g.made_by, strftime('%Y-%m-%dT%H:%M:%fZ', g.created_at, 'unixepoch') AS created_at, strftime('%Y-%m-%dT%H:%M:%fZ', g.closed_at, 'unixepoch') AS closed_at, strftime('%Y-%m-%dT%H:%M:%fZ', g.deleted_at, 'unixepoch') AS deleted_at FROM groups g;
CREATE VIEW v1_members AS SELECT g.group_id, m.user_id, m.role, strftime('%Y-%m-%dT%H:%M:%fZ', m.joined_at, 'unixepoch') AS joined_at FROM members m JOIN groups g USING (channel_id) WHERE m.visible_until IS NULL AND g.deleted_at IS NULL;
CREATE VIEW v1_messages AS SELECT l.message_id, c.address AS conversation, c.kind, CASE WHEN c.kind = 'group' THEN substr(c.address, 7) END AS group_id, l.seq, l.type, l.sender_id, strftime('%Y-%m-%dT%H:%M:%fZ', l.timestamp, 'unixepoch') AS at, coalesce(l.payload ->> 'content', l.payload ->> 'body', l.payload ->> 'title') AS text, l.payload ->> 'reply_to' AS reply_to, l.payload ->> 'thread' AS thread, strftime('%Y-%m-%dT%H:%M:%fZ', l.edited_at, 'unixepoch') AS edited_at, strftime('%Y-%m-%dT%H:%M:%fZ', l.deleted_at, 'unixepoch') AS deleted_at, l.removed_by, l.payload FROM log l JOIN channels c USING (channel_id) WHERE c.address <> 'self:*' AND c.address NOT LIKE 'gone:%';
CREATE VIEW v1_reactions AS SELECT l.about AS message_id, l.sender_id AS user_id, l.payload ->> 'emoji' AS emoji, strftime('%Y-%m-%dT%H:%M:%fZ', l.timestamp, 'unixepoch') AS at FROM latest l WHERE l.type = 'reaction' AND l.payload ->> 'on';
CREATE VIEW v1_mentions AS SELECT l.message_id, m.user_id FROM mentions m JOIN log l USING (channel_id, seq);
CREATE VIEW v1_attachments AS SELECT a.attachment_id, h.message_id, a.user_id, a.name, a.type, a.size, lower(hex(b.sha256)) AS sha256, strftime('%Y-%m-%dT%H:%M:%fZ', a.created_at, 'unixepoch') AS created_at FROM attachments a JOIN blobs b USING (blob_id) LEFT JOIN holds h USING (attachment_id);
CREATE VIEW v1_reads AS SELECT c.address AS conversation, p.user_id, p.read_seq FROM pointers p JOIN channels c USING (channel_id) WHERE c.address <> 'self:*' AND c.address NOT LIKE 'gone:%';
CREATE VIEW v1_audit AS SELECT a.message_id AS entry_id, strftime('%Y-%m-%dT%H:%M:%fZ', a.at, 'unixepoch') AS at, a.act, a.by AS by_user, a.kind, a.about FROM audit_entries a;
COMMIT;
