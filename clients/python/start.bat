@echo off
rem Installs what the demo needs and starts it: start.bat, or start.bat meeting.mp3
setlocal
cd /d "%~dp0"
set PYTHONUTF8=1
if not exist .venv\Scripts\python.exe (
    py -3 -m venv .venv || goto failed
)
.venv\Scripts\python.exe -m pip install --quiet --disable-pip-version-check -r requirements.txt || goto failed
.venv\Scripts\python.exe app.py %*
if errorlevel 1 goto failed
exit /b 0

:failed
echo Could not start. Python 3.11 or later is needed: see README.md.
pause
exit /b 1
