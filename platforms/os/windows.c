/* SPDX-License-Identifier: MIT */
/* os.h on Windows 10 and later, built with mingw-w64. Paths are UTF-8 outside, UTF-16 inside. */
#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0A00
#define PSAPI_VERSION 2
#include "platforms/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <windows.h>

#include <psapi.h>

#include "platforms/base/units.h"

/* ---- UTF-8 outside, UTF-16 inside ---- */

/* @return malloc'ed, or NULL with a reason. */
static wchar_t *wide_of(const char *text)
{
    const int n = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *wide = n > 0 ? malloc((size_t)n * sizeof *wide) : NULL;
    if (wide == NULL) {
        (void)jb_fail(n > 0 ? JB_E_NOMEM : JB_E_INVAL, "'%s': %s", text,
                      n > 0 ? "no memory for its name" : "its name is not UTF-8");
        return NULL;
    }
    (void)MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, n);
    return wide;
}

static bool narrow_of(const wchar_t *wide, char *ret_text, size_t size)
{
    return WideCharToMultiByte(CP_UTF8, 0, wide, -1, ret_text, (int)size, NULL, NULL) > 0;
}

/* ---- time ---- */

double jb_clock_s(void)
{
    LARGE_INTEGER count, rate; /* neither call can fail since Windows XP */
    (void)QueryPerformanceCounter(&count);
    (void)QueryPerformanceFrequency(&rate);
    const LONGLONG whole_s = count.QuadPart / rate.QuadPart;
    const LONGLONG rest = count.QuadPart % rate.QuadPart;
    return (double)whole_s + (double)rest / (double)rate.QuadPart;
}

void jb_sleep_until(double deadline_s)
{
    for (;;) {
        const double left_s = deadline_s - jb_clock_s();
        if (!(left_s > 0)) {
            return;
        }
        /* Sleep counts in milliseconds; what is shorter gives the rest of the time slice away. */
        Sleep(left_s < 3600 ? (DWORD)(left_s * 1e3) : 3600000);
    }
}

static double seconds_of(FILETIME kernel, FILETIME user)
{
    const double high = (double)kernel.dwHighDateTime + (double)user.dwHighDateTime;
    const double low = (double)kernel.dwLowDateTime + (double)user.dwLowDateTime;
    return (high * 4294967296.0 + low) * 1e-7;
}

double jb_process_cpu_s(void)
{
    FILETIME created, ended, kernel, user;
    return GetProcessTimes(GetCurrentProcess(), &created, &ended, &kernel, &user)
               ? seconds_of(kernel, user)
               : jb_missing();
}

double jb_thread_cpu_s(void)
{
    FILETIME created, ended, kernel, user;
    return GetThreadTimes(GetCurrentThread(), &created, &ended, &kernel, &user)
               ? seconds_of(kernel, user)
               : jb_missing();
}

void jb_utc_now(char ret_text[32])
{
    const time_t now = time(NULL);
    struct tm utc;
    if (gmtime_s(&utc, &now) != 0 || strftime(ret_text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        ret_text[0] = '\0';
    }
}

/* ---- threads. A unit's number is its place in its processor group + 64 x the group ---- */

#define GROUP_PUS 64u

enum jb_status jb_pin_self(uint32_t pu)
{
    const GROUP_AFFINITY affinity = {.Group = (WORD)(pu / GROUP_PUS),
                                     .Mask = (KAFFINITY)1 << (pu % GROUP_PUS)};
    if (pu / GROUP_PUS >= GetActiveProcessorGroupCount() ||
        !SetThreadGroupAffinity(GetCurrentThread(), &affinity, NULL)) {
        return jb_fail(JB_E_INVAL, "processing unit %u is not there or is not allowed", pu);
    }
    return JB_OK;
}

enum jb_status jb_affinity_read(struct jb_affinity *ret_affinity)
{
    GROUP_AFFINITY affinity;
    if (!GetThreadGroupAffinity(GetCurrentThread(), &affinity)) {
        return jb_fail(JB_E_NOTSUP, "cannot tell where this thread may run");
    }
    *ret_affinity = (struct jb_affinity){.units = {affinity.Mask}, .group = affinity.Group};
    return JB_OK;
}

enum jb_status jb_affinity_restore(const struct jb_affinity *affinity)
{
    const GROUP_AFFINITY earlier = {.Group = (WORD)affinity->group,
                                    .Mask = (KAFFINITY)affinity->units[0]};
    return SetThreadGroupAffinity(GetCurrentThread(), &earlier, NULL)
               ? JB_OK
               : jb_fail(JB_E_INVAL, "cannot let this thread run where it did");
}

void jb_name_self(const char *name)
{
    char cut[16];
    (void)snprintf(cut, sizeof cut, "%.15s", name);
    (void)pthread_setname_np(pthread_self(), cut);
}

uint32_t jb_allowed_pus(uint32_t *ret_pus, uint32_t capacity)
{
    DWORD_PTR process_mask = 0, system_mask = 0;
    uint32_t n = 0;
    const WORD n_groups = GetActiveProcessorGroupCount();
    /* The mask speaks of one group; a process in several groups has 0 there and may use all. */
    const BOOL known =
        GetProcessAffinityMask(GetCurrentProcess(), &process_mask, &system_mask) != 0;
    const bool is_masked = known && process_mask != 0 && process_mask != system_mask;
    for (WORD group = 0; group < (is_masked ? 1 : n_groups); group++) {
        const DWORD n_pus = GetActiveProcessorCount(group);
        for (DWORD pu = 0; pu < n_pus; pu++) {
            if (is_masked && ((process_mask >> pu) & 1) == 0) {
                continue;
            }
            if (ret_pus != NULL && n < capacity) {
                ret_pus[n] = group * GROUP_PUS + (uint32_t)pu;
            }
            n++;
        }
    }
    if (n == 0 && ret_pus != NULL && capacity > 0) {
        ret_pus[0] = 0;
    }
    return n > 0 ? n : 1;
}

/* ---- mapped files ---- */

static enum jb_status open_status(DWORD error)
{
    switch (error) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_NAME:
        return JB_E_NODEV;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
        return JB_E_PERM;
    default:
        return JB_E_IO;
    }
}

static enum jb_status map_file(const char *path, HANDLE file, struct jb_map *ret_map)
{
    LARGE_INTEGER size;
    if (GetFileType(file) != FILE_TYPE_DISK || !GetFileSizeEx(file, &size)) {
        return jb_fail(JB_E_INVAL, "'%s': is not a regular file", path);
    }
    if (size.QuadPart == 0) {
        return jb_fail(JB_E_INVAL, "'%s': the file is empty", path);
    }
    HANDLE mapping = CreateFileMappingW(file, NULL, PAGE_READONLY, 0, 0, NULL);
    const void *data = mapping != NULL ? MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0) : NULL;
    if (data == NULL) {
        const DWORD error = GetLastError();
        if (mapping != NULL) {
            (void)CloseHandle(mapping);
        }
        return jb_fail(JB_E_IO, "'%s': cannot be mapped: Windows error %lu", path, error);
    }
    *ret_map =
        (struct jb_map){.data = data, .size = (size_t)size.QuadPart, .handle = (void *)mapping};
    return JB_OK;
}

enum jb_status jb_map_open(const char *path, struct jb_map *ret_map)
{
    wchar_t *wide = wide_of(path);
    if (wide == NULL) {
        return JB_E_INVAL;
    }
    const DWORD attributes = GetFileAttributesW(wide);
    HANDLE file = CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL,
                              OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    const DWORD error = GetLastError();
    free(wide);
    if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
        if (file != INVALID_HANDLE_VALUE) {
            (void)CloseHandle(file);
        }
        return jb_fail(JB_E_INVAL, "'%s': is a directory, not a regular file", path);
    }
    if (file == INVALID_HANDLE_VALUE) {
        return jb_fail(open_status(error), "'%s': cannot be opened: Windows error %lu", path,
                       error);
    }
    const enum jb_status status = map_file(path, file, ret_map);
    (void)CloseHandle(file); /* the mapping keeps the file open */
    return status;
}

void jb_map_close(struct jb_map *map)
{
    if (map == NULL || map->data == NULL) {
        return;
    }
    (void)UnmapViewOfFile(map->data);
    (void)CloseHandle((HANDLE)map->handle);
    *map = (struct jb_map){.data = NULL};
}

void jb_map_will_need(const struct jb_map *map, size_t offset, size_t size)
{
    if (map == NULL || map->data == NULL || offset >= map->size) {
        return;
    }
    WIN32_MEMORY_RANGE_ENTRY range = {.VirtualAddress = (char *)(uintptr_t)map->data + offset,
                                      .NumberOfBytes =
                                          size < map->size - offset ? size : map->size - offset};
    (void)PrefetchVirtualMemory(GetCurrentProcess(), 1, &range, 0);
}

void jb_map_drop(const struct jb_map *map, size_t offset, size_t size)
{
    if (map == NULL || map->data == NULL || offset >= map->size) {
        return;
    }
    /* Unlocking pages that are not locked takes them out of the working set. */
    (void)VirtualUnlock((char *)(uintptr_t)map->data + offset,
                        size < map->size - offset ? size : map->size - offset);
}

/* ---- memory ---- */

void *jb_pages_alloc(size_t size)
{
    /* Large pages need a privilege that ordinary users lack. */
    return size == 0 ? NULL : VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void jb_pages_free(void *pages, size_t size)
{
    (void)size;
    if (pages != NULL) {
        (void)VirtualFree(pages, 0, MEM_RELEASE);
    }
}

uint64_t jb_memory_total_bytes(void)
{
    MEMORYSTATUSEX memory = {.dwLength = sizeof memory};
    return GlobalMemoryStatusEx(&memory) ? memory.ullTotalPhys : 0;
}

uint64_t jb_memory_available_bytes(void)
{
    MEMORYSTATUSEX memory = {.dwLength = sizeof memory};
    return GlobalMemoryStatusEx(&memory) ? memory.ullAvailPhys : 0;
}

uint64_t jb_peak_resident_bytes(void)
{
    PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof counters};
    return GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters)
               ? counters.PeakWorkingSetSize
               : 0;
}

/* ---- append ---- */

static enum jb_status append_fail(const char *path, int error, const char *what)
{
    switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
        return jb_fail(JB_E_PERM, "'%s': %s: no permission, or a directory", path, what);
    case ENOSPC:
        return jb_fail(JB_E_IO, "'%s': %s: the disk is full; earlier rows are kept", path, what);
    case ENOENT:
        return jb_fail(JB_E_IO, "'%s': %s: its directory does not exist", path, what);
    default:
        return jb_fail(JB_E_IO, "'%s': %s: %s", path, what, strerror(error));
    }
}

/* Length up to and with the last line break; negative on failure. */
static int64_t line_end(int fd, int64_t size)
{
    char block[4096];
    int64_t end = size;
    while (end > 0) {
        const int want = end < (int64_t)sizeof block ? (int)end : (int)sizeof block;
        if (_lseeki64(fd, end - want, SEEK_SET) < 0 || _read(fd, block, (unsigned)want) != want) {
            return -1;
        }
        for (int i = want; i > 0; i--) {
            if (block[i - 1] == '\n') {
                return end - want + i;
            }
        }
        end -= want;
    }
    return 0;
}

enum jb_status jb_append_open(const char *path, struct jb_append *ret_file, uint64_t *ret_cut)
{
    wchar_t *wide = wide_of(path);
    if (wide == NULL) {
        return JB_E_INVAL;
    }
    const int fd = _wopen(wide, _O_RDWR | _O_APPEND | _O_CREAT | _O_BINARY | _O_NOINHERIT,
                          _S_IREAD | _S_IWRITE);
    free(wide);
    if (fd < 0) {
        return append_fail(path, errno, "cannot be opened for writing");
    }
    const int64_t size = _lseeki64(fd, 0, SEEK_END);
    const int64_t end = size > 0 ? line_end(fd, size) : size;
    char *copy = _strdup(path);
    enum jb_status status = JB_OK;
    if (copy == NULL) {
        status = jb_fail(JB_E_NOMEM, "'%s': no memory for its name", path);
    } else if (end < 0 && size >= 0) {
        status = append_fail(path, errno, "cannot be read");
    } else if (size > 0 && end < size && _chsize_s(fd, end) != 0) {
        status = append_fail(path, errno, "its torn last line cannot be cut");
    }
    if (status != JB_OK) {
        free(copy);
        (void)_close(fd);
        return status;
    }
    *ret_file = (struct jb_append){.fd = fd, .path = copy};
    if (ret_cut != NULL) {
        *ret_cut = size > 0 ? (uint64_t)(size - end) : 0;
    }
    return JB_OK;
}

enum jb_status jb_append_write(struct jb_append *file, const void *data, size_t size)
{
    const int64_t start = _lseeki64(file->fd, 0, SEEK_END);
    size_t n_written = 0;
    while (n_written < size) {
        const size_t left = size - n_written;
        const int n = _write(file->fd, (const char *)data + n_written,
                             left < INT32_MAX ? (unsigned)left : (unsigned)INT32_MAX);
        if (n <= 0) {
            const int error = n < 0 ? errno : ENOSPC;
            if (start >= 0 && n_written > 0) {
                (void)_chsize_s(file->fd, start);
            }
            return append_fail(file->path, error, "cannot be written");
        }
        n_written += (size_t)n;
    }
    return JB_OK;
}

enum jb_status jb_append_sync(struct jb_append *file)
{
    return _commit(file->fd) == 0 ? JB_OK : append_fail(file->path, errno, "cannot be synced");
}

void jb_append_close(struct jb_append *file)
{
    if (file == NULL || file->path == NULL) {
        return;
    }
    (void)_close(file->fd);
    free(file->path);
    *file = (struct jb_append){.fd = -1};
}

/* ---- the rest ---- */

enum jb_status jb_dir_each(const char *path, bool (*fn)(void *ctx, const char *name), void *ctx)
{
    char pattern[1024];
    const int n = snprintf(pattern, sizeof pattern, "%s\\*", path);
    wchar_t *wide = n > 0 && (size_t)n < sizeof pattern ? wide_of(pattern) : NULL;
    WIN32_FIND_DATAW entry;
    HANDLE search = wide != NULL ? FindFirstFileW(wide, &entry) : INVALID_HANDLE_VALUE;
    const DWORD error = GetLastError();
    free(wide);
    if (search == INVALID_HANDLE_VALUE) {
        return jb_fail(open_status(error), "'%s': cannot be listed: Windows error %lu", path,
                       error);
    }
    bool goes_on = true;
    do {
        char name[3 * MAX_PATH + 1];
        if (narrow_of(entry.cFileName, name, sizeof name) && strcmp(name, ".") != 0 &&
            strcmp(name, "..") != 0) {
            goes_on = fn(ctx, name);
        }
    } while (goes_on && FindNextFileW(search, &entry));
    (void)FindClose(search);
    return JB_OK;
}

bool jb_is_terminal(FILE *stream)
{
    return _isatty(_fileno(stream)) != 0;
}

void jb_host_name(char *ret_name, size_t size)
{
    wchar_t wide[MAX_COMPUTERNAME_LENGTH + 1];
    DWORD n = MAX_COMPUTERNAME_LENGTH + 1;
    if (size > 0 && !(GetComputerNameW(wide, &n) && narrow_of(wide, ret_name, size))) {
        ret_name[0] = '\0';
    }
}

enum jb_status jb_cache_dir(char *ret_path, size_t size)
{
    const wchar_t *base = _wgetenv(L"XDG_CACHE_HOME");
    if (base == NULL || base[0] == L'\0') {
        base = _wgetenv(L"LOCALAPPDATA");
    }
    if (base == NULL || base[0] == L'\0') {
        return jb_fail(JB_E_NODEV, "no folder for caches: set LOCALAPPDATA or XDG_CACHE_HOME");
    }
    static const wchar_t tail[] = L"\\joulebench";
    wchar_t wide[1024];
    char text[3072];
    const size_t n = wcslen(base);
    if (n + sizeof tail / sizeof tail[0] > sizeof wide / sizeof wide[0]) {
        return jb_fail(JB_E_INVAL, "the cache folder's path is too long");
    }
    memcpy(wide, base, n * sizeof *wide);
    memcpy(wide + n, tail, sizeof tail);
    if (!narrow_of(wide, text, sizeof text) || strlen(text) >= size) {
        return jb_fail(JB_E_INVAL, "the cache folder's path is too long");
    }
    if (!CreateDirectoryW(wide, NULL) && GetLastError() != ERROR_ALREADY_EXISTS) {
        return jb_fail(JB_E_IO, "'%s': cannot be made: Windows error %lu", text, GetLastError());
    }
    memcpy(ret_path, text, strlen(text) + 1);
    return JB_OK;
}

enum jb_status jb_make_folder(const char *path)
{
    wchar_t *wide = wide_of(path);
    if (wide == NULL || wide[0] == L'\0') {
        free(wide);
        return jb_fail(JB_E_INVAL, "'%.60s' is no name for a folder", path);
    }
    /* What is above may be there and not ours to make (a drive): only the whole path must be. */
    for (wchar_t *c = wide + 1;; c++) {
        if (*c == L'/' || *c == L'\\' || *c == L'\0') {
            const wchar_t kept = *c;
            *c = L'\0';
            (void)CreateDirectoryW(wide, NULL);
            *c = kept;
            if (kept == L'\0') {
                break;
            }
        }
    }
    const DWORD error = GetLastError();
    const DWORD attributes = GetFileAttributesW(wide);
    free(wide);
    if (attributes == INVALID_FILE_ATTRIBUTES || (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0) {
        return jb_fail(error == ERROR_ACCESS_DENIED ? JB_E_PERM : JB_E_IO,
                       "'%s': cannot be made: Windows error %lu", path, error);
    }
    return JB_OK;
}

void *jb_dl_open(const char *const *names)
{
    for (; *names != NULL; names++) {
        wchar_t *wide = wide_of(*names);
        HMODULE library = wide != NULL ? LoadLibraryW(wide) : NULL;
        const DWORD error = GetLastError();
        free(wide);
        if (library != NULL) {
            return (void *)library;
        }
        (void)jb_fail(JB_E_NODEV, "'%s': cannot be loaded: Windows error %lu", *names, error);
    }
    return NULL;
}

void *jb_dl_symbol(void *library, const char *name)
{
    return (void *)(uintptr_t)GetProcAddress((HMODULE)library, name);
}

void jb_dl_close(void *library)
{
    if (library != NULL) {
        (void)FreeLibrary((HMODULE)library);
    }
}
