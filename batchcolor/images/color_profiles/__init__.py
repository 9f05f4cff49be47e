"""ICC profiles: conversion, and profiles of RGB spaces."""
