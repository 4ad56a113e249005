%% Erlang/OTP at the same tasks as runtime_bench.cpp. Prints one line "task value" per round; see that file for what
%% each task is. runtime_peer:main([Rounds, RoundTrips, Senders, PerSender, Spawns, Crashes]).
-module(runtime_peer).
-behaviour(supervisor).
-export([main/1, init/1, start_child/2, start_crashing/1]).

main(Arguments) ->
    [Rounds, RoundTrips, Senders, PerSender, Spawns, Crashes] = [list_to_integer(A) || A <- Arguments],
    process_flag(priority, normal),
    [round(RoundTrips, Senders, PerSender, Spawns, Crashes) || _ <- lists:seq(1, Rounds)],
    halt(0).

round(RoundTrips, Senders, PerSender, Spawns, Crashes) ->
    line("ping_pong", ping_pong(RoundTrips)),
    line("fan_in", fan_in(Senders, PerSender)),
    {Us, Bytes} = spawn_children(Spawns),
    line("spawn", Us),
    line("child_bytes", Bytes),
    {Median, P99} = restart(Crashes),
    line("restart_p50", Median),
    line("restart_p99", P99).

line(Name, Value) -> io:format("~s ~.6f~n", [Name, float(Value)]).
now_us() -> erlang:monotonic_time(nanosecond) / 1000.

ping_pong(N) ->
    Me = self(),
    Pong = spawn(fun Loop() -> receive {Ball, From} -> From ! {Ball, self()}, Loop() end end),
    T = now_us(),
    Ping = spawn(fun() -> Pong ! {0, self()}, ping(N, Pong), Me ! done end),
    receive done -> ok end,
    exit(Pong, kill), exit(Ping, kill),
    N / ((now_us() - T) / 1.0e6).

ping(N, Pong) ->
    receive
        {N, _} -> ok;
        {Ball, _} -> Pong ! {Ball + 1, self()}, ping(N, Pong)
    end.

fan_in(Senders, PerSender) ->
    Me = self(),
    Sink = spawn(fun() -> sink(Senders * PerSender), Me ! done end),
    T = now_us(),
    [spawn(fun() -> send(Sink, PerSender) end) || _ <- lists:seq(1, Senders)],
    receive done -> ok end,
    Senders * PerSender / ((now_us() - T) / 1.0e6).

sink(0) -> ok;
sink(N) -> receive {number, _} -> sink(N - 1) end.

send(_, 0) -> ok;
send(Sink, N) -> Sink ! {number, N}, send(Sink, N - 1).

%% --- supervision -------------------------------------------------------------------------------------------------

init({spawn, _}) ->
    {ok, {#{strategy => simple_one_for_one, intensity => 0},
          [#{id => child, start => {?MODULE, start_child, []}, restart => temporary}]}};
init({restart, Bench}) ->
    {ok, {#{strategy => one_for_one, intensity => 1000000000, period => 1},
          [#{id => child, start => {?MODULE, start_crashing, [Bench]}}]}}.

start_child(Counter, _) ->
    proc_lib:start_link(erlang, apply, [fun() ->
        counters:add(Counter, 1, 1),
        proc_lib:init_ack({ok, self()}),
        receive stop -> ok end
    end, []]).

%% Until all children run; the process that asks is the one that measures.
spawn_children(N) ->
    process_flag(trap_exit, true),
    {ok, Supervisor} = supervisor:start_link(?MODULE, {spawn, self()}),
    Counter = counters:new(1, []),
    erlang:garbage_collect(),
    Before = erlang:memory(processes),
    T = now_us(),
    [supervisor:start_child(Supervisor, [Counter, I]) || I <- lists:seq(1, N)],
    N = counters:get(Counter, 1),
    Us = (now_us() - T) / N,
    Bytes = (erlang:memory(processes) - Before) / N,
    exit(Supervisor, shutdown),
    receive {'EXIT', Supervisor, _} -> ok end,
    {Us, Bytes}.

start_crashing(Bench) ->
    proc_lib:start_link(erlang, apply, [fun() ->
        Bench ! {running, self(), now_us()},
        proc_lib:init_ack({ok, self()}),
        receive crash -> Bench ! {failed, now_us()}, exit(crash) end
    end, []]).

restart(Crashes) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    {ok, Supervisor} = supervisor:start_link(?MODULE, {restart, self()}),
    First = receive {running, P, _} -> P end,
    Times = lists:sort(crash(Crashes, First)),
    exit(Supervisor, shutdown),
    receive {'EXIT', Supervisor, _} -> ok end,
    {lists:nth(Crashes div 2 + 1, Times), lists:nth(Crashes * 99 div 100 + 1, Times)}.

crash(0, _) -> [];
crash(N, Child) ->
    Child ! crash,
    Failed = receive {failed, T} -> T end,
    receive {running, Next, Running} -> [Running - Failed | crash(N - 1, Next)] end.
