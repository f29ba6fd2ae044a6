"""Worker processes, and the work that Ctrl-C must not cut in two."""

import atexit
import contextlib
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from enum import Enum
from functools import partial
from multiprocessing import resource_tracker

ITEMS_AT_A_WORKER = 2  # one in work, one to go on with at once
ITEMS_IN_REACH = 64  # a worker: how far the fastest may be ahead of the slowest
LOOK_EVERY_S = 1.0
START_S, FAILED_STARTS = 120.0, 3  # what a start may take, and how many may fail
SERVER_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}  # no thread is to run when it forks
KILL_S = 5.0  # as long is waited for a killed process, which a dead disk can hold
HELD_UP_S = 5.0  # as long may one item hold up those behind it
LOADER_MODULES = ("audiorec_cli.convnet.loading",)  # that the process of a Loader needs


def usable_cores():
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def process_pool(context, workers=None):
    """A pool of processes, as many as there are cores unless a number is given.

    context : from `process_context`. Submit to the pool within `starting_processes`.
    """
    return ProcessPoolExecutor(
        workers or usable_cores(), mp_context=context, initializer=end_with_parent
    )


def process_context(modules):
    """What starts processes, none of them a fork of this one, which open HDF5 files do not survive.

    modules : names of those that the processes need
    On Linux they are forks of a server that has loaded the modules, which each would else do anew.
    There is one server, so that only the modules of the first call are loaded.
    """
    return multiprocessing.get_context("forkserver" if load_ahead(modules) else "spawn")


def load_ahead(modules):
    """Begin to load what processes will need, as in `process_context`, and go on meanwhile.

    Returns whether processes will share it.
    """
    if sys.platform != "linux":  # elsewhere forks are no safe ground for system libraries
        return False
    from multiprocessing import forkserver

    forkserver.set_forkserver_preload(list(modules))
    atexit.unregister(_end_server)
    atexit.register(_end_server)
    try:
        with _environment(SERVER_ENVIRONMENT), _deaf_to_ctrl_c():
            forkserver.ensure_running()
    except OSError:  # no socket can be made in the folder of temporary files
        return False
    return True


def _end_server():
    """End the server now: it would notice, and let go of stderr, when it has loaded everything."""
    from multiprocessing.forkserver import _forkserver

    pid = getattr(_forkserver, "_forkserver_pid", None)  # which nothing public tells
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def starting_processes(context):
    """Processes that are started within never receive Ctrl-C, not even while they start.

    Ctrl-C is for the process that holds the results.
    """
    if context.get_start_method() == "forkserver":  # which is deaf, and so are its forks
        yield
        return
    with _deaf_to_ctrl_c():
        yield


@contextlib.contextmanager
def _deaf_to_ctrl_c():
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # starting it would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment(variables):
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def end_with_parent(*_):
    """Called in a process: end it as soon as the one that started it has, however that came."""
    sentinel = multiprocessing.parent_process().sentinel

    def wait():
        multiprocessing.connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def uninterrupted():
    """Hold back a Ctrl-C that arrives within until the end, so that the work is whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived = []
    before = signal.signal(signal.SIGINT, lambda *_: arrived.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if arrived:
            raise KeyboardInterrupt


class Lost(Enum):
    """What stands in the place of a result that will never come."""

    DIED = "the worker died"
    TIMED_OUT = "the time limit ran out"


def supervised_map(function, items, *, workers=None, time_limit_s, prepare, modules=()):
    """Call function(item) in worker processes that may hang or die without harm to the rest.

    prepare : called by each worker before its first item; time_limit_s : seconds an item
    modules : names of those that the workers need, as in `process_context`
    Yields (item, result) in the order of the items; those that take long are overtaken. A worker
    that dies, or takes longer than the limit over one item, is replaced, and the item's result is
    a Lost; one that died over an item is given a second try. An exception in a worker is raised
    here and ends the rest, and so does a RuntimeError when workers do not start.

    Each worker has a pipe of its own: one that all share, and its lock, would be left in pieces
    by a worker that dies.
    """
    start = partial(_Worker, process_context(modules), function, prepare)
    supervisor = _Supervisor(start, list(items), workers or usable_cores())
    try:
        yield from supervisor.run(time_limit_s)
    finally:
        supervisor.stop()


class _Worker:
    """A process and the items that it was given, the first of them in work."""

    def __init__(self, context, function, prepare):
        self.connection, theirs = context.Pipe()
        arguments = theirs, function, prepare
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        try:
            with starting_processes(context):
                self.process.start()
        except (ConnectionError, EOFError) as error:
            raise RuntimeError("workers end at their start, as what starts them has") from error
        theirs.close()
        self.places = deque()
        self.is_ready = False
        self.since = time.monotonic()

    def give(self, place, item):
        if not self.places:
            self.since = time.monotonic()
        self.places.append(place)
        with contextlib.suppress(OSError):  # that it is dead shows when it is listened to
            self.connection.send(item)

    def stop(self):
        if self.process.is_alive():  # else its number may be another's by now
            self.process.kill()
        self.process.join(KILL_S)
        self.connection.close()


def _serve(connection, function, prepare):
    """What a worker does: item after item, until nobody listens any more."""
    end_with_parent()  # a decoder that hangs would not notice
    prepare()
    with contextlib.suppress(EOFError, OSError):
        connection.send(None)
        while True:
            item = connection.recv()
            try:
                answer = function(item)
            except Exception as error:  # noqa: BLE001 - the supervisor raises it
                error.add_note(traceback.format_exc())
                answer = error
            connection.send(answer)


class _Supervisor:
    """Gives items to workers, takes results, and sees to it that every item has one."""

    def __init__(self, start, items, n_workers):
        self._start = start
        self._items = items
        self._todo = deque(range(len(items)))
        self._undelivered = deque()  # places of the items that were given out, in order
        self._results = {}
        self._died_once, self._handed_back, self._failed_starts = set(), set(), 0
        self._workers = [self._start() for _ in range(min(n_workers, len(items)))]

    def run(self, time_limit_s):
        looked = time.monotonic()
        while self._todo or self._undelivered:
            self._give()
            self._listen(min(LOOK_EVERY_S, time_limit_s / 4))
            # after Ctrl-Z and fg, or a disk that took its time, nobody is late
            away_s = time.monotonic() - looked - 2 * LOOK_EVERY_S
            for worker in self._workers:
                worker.since += max(0, away_s)
            looked = time.monotonic()
            self._replace_the_late(time_limit_s)
            yield from self._deliver()

    def stop(self):
        for worker in self._workers:
            worker.stop()

    def _give(self):
        reach = ITEMS_IN_REACH * len(self._workers)
        for worker in self._workers:
            while len(worker.places) < ITEMS_AT_A_WORKER and self._todo:
                is_new = not self._undelivered or self._todo[0] > self._undelivered[-1]
                if is_new and len(self._undelivered) >= reach:
                    return
                place = self._todo.popleft()
                if is_new:
                    self._undelivered.append(place)
                worker.give(place, self._items[place])

    def _listen(self, timeout_s):
        of_connection = {worker.connection: worker for worker in self._workers}
        for ready in multiprocessing.connection.wait(list(of_connection), timeout_s):
            worker = of_connection[ready]
            try:
                answer = ready.recv()
            except (EOFError, OSError):
                self._replace(worker, Lost.DIED)
                continue
            if isinstance(answer, Exception):
                raise answer
            if worker.is_ready:
                self._results[worker.places.popleft()] = answer
            worker.is_ready, worker.since = True, time.monotonic()

    def _replace_the_late(self, time_limit_s):
        now = time.monotonic()
        for worker in list(self._workers):
            limit_s = time_limit_s if worker.is_ready else START_S
            if worker.places and now - worker.since > limit_s:
                self._replace(worker, Lost.TIMED_OUT)

    def _replace(self, worker, why):
        worker.stop()
        places = list(worker.places)
        if not worker.is_ready:
            self._failed_starts += 1
            if self._failed_starts > FAILED_STARTS:
                raise RuntimeError(f"workers end at their start: {worker.process.exitcode}")
        elif places and (why is Lost.TIMED_OUT or places[0] in self._died_once):
            self._results[places.pop(0)] = why
        else:
            self._died_once.update(places[:1])
        self._handed_back.update(places)
        self._todo.extendleft(reversed(places))
        self._workers[self._workers.index(worker)] = self._start()

    def _deliver(self):
        """Yield what is ready, in order, and past an item that has held up the rest for long."""
        places = self._undelivered
        while places and places[0] in self._results:
            yield self._taken(places.popleft())
        if places and self._held_up_s(places[0]) > HELD_UP_S:
            for place in [place for place in places if place in self._results]:
                places.remove(place)
                yield self._taken(place)

    def _held_up_s(self, place):
        """How long an item has held up others: not while it waits for a worker's first start."""
        for worker in self._workers:
            if place in worker.places and (worker.is_ready or place in self._handed_back):
                return time.monotonic() - worker.since
        return 0.0

    def _taken(self, place):
        return self._items[place], self._results.pop(place)
