/*
 * commands.h -- the subcommands: each parses its own arguments (argv[0] is its name) and returns
 * the exit code.
 */
#ifndef COMMITLOG_TOOL_COMMANDS_H
#define COMMITLOG_TOOL_COMMANDS_H

int command_append(int argc, const char **argv);
int command_bench(int argc, const char **argv);
int command_create(int argc, const char **argv);
int command_dump(int argc, const char **argv);
int command_get(int argc, const char **argv);
int command_group(int argc, const char **argv);
int command_query(int argc, const char **argv);
int command_read(int argc, const char **argv);
int command_rebuild(int argc, const char **argv);
int command_recover(int argc, const char **argv);
int command_retain(int argc, const char **argv);
int command_stat(int argc, const char **argv);
int command_timer(int argc, const char **argv);
int command_topic(int argc, const char **argv);
int command_topics(int argc, const char **argv);
int command_tx(int argc, const char **argv);
int command_verify(int argc, const char **argv);

#endif
